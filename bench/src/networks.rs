//! The networks that the images are pulled over.

use std::time::Duration;

use clap::ValueEnum;

/// What one connection to a far registry brings in a second.
const RATE: u64 = 20_000_000;
/// From here to there, and half of the way back and forth.
const ONE_WAY: Duration = Duration::from_millis(10);

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// This machine's loopback as it is, with nothing in between
    Loopback,
    /// 20 MB/s for each connection
    Throttled,
    /// 20 MB/s for each connection, and 20 ms for each round trip
    Delayed,
    /// 20 ms for each round trip, and no limit to what a connection brings
    Far,
    /// Loopback, over TLS
    Tls,
    /// 20 MB/s for each connection, 20 ms for each round trip, over TLS
    DelayedTls,
    /// Loopback, where some of the answers end in their middle
    Cut,
}

/// What a proxy does to what passes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    /// Bytes in a second that one connection may bring.
    pub(crate) rate: Option<u64>,
    /// How much later what is sent arrives, in either direction.
    pub(crate) delay: Duration,
    /// Which part of the answers is cut, if any: 0.01 is one of a hundred.
    pub(crate) cut: Option<f64>,
}

impl Network {
    /// What the tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Loopback => "Loopback",
            Self::Throttled => "20 MB/s for each connection",
            Self::Delayed => "20 MB/s for each connection, 20 ms for each round trip",
            Self::Far => "20 ms for each round trip, no limit for a connection",
            Self::Tls => "Loopback, over TLS",
            Self::DelayedTls => "20 MB/s for each connection, 20 ms for each round trip, over TLS",
            Self::Cut => "Loopback, some answers cut in the middle",
        }
    }

    /// Whether what goes over it is TLS.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::DelayedTls)
    }

    /// What there is to know about its numbers.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Loopback => {
                "Nothing is in between; requests and bytes are of one more pull, which was counted."
            }
            Self::Throttled => "Through a proxy, which has its part of the processor.",
            Self::Tls | Self::DelayedTls => {
                "Through a proxy and what ends TLS before the registry, which have their part of the processor. Nobody \
                 checks the certificate, but hoist and oci-client, which are told to trust its authority. The bytes are \
                 those of TLS, and requests cannot be counted; the floor speaks no TLS."
            }
            Self::Delayed | Self::Far => {
                "Through a proxy, which has its part of the processor. A new connection costs a round trip more; \
                 there is no slow start, no loss."
            }
            Self::Cut => {
                "Through a proxy, which has its part of the processor. Half of the answer's body comes, then the \
                 connection ends. Whether a request is cut depends on its number only, for all alike; `cut` counts all pulls together."
            }
        }
    }

    /// How many connections it takes to bring the most: one is no limit on loopback, where more of them only
    /// take the processor from each other.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Loopback | Self::Cut | Self::Tls => 4,
            Self::Throttled | Self::Delayed | Self::DelayedTls | Self::Far => 16,
        }
    }

    /// What a proxy has to do; on plain loopback, nothing but to count.
    pub(crate) fn shape(self, cut: f64) -> Shape {
        let plain = Shape::default();
        match self {
            Self::Loopback | Self::Tls => plain,
            Self::Far => Shape { delay: ONE_WAY, ..plain },
            Self::Throttled => Shape { rate: Some(RATE), ..plain },
            Self::Delayed | Self::DelayedTls => Shape { rate: Some(RATE), delay: ONE_WAY, ..plain },
            Self::Cut => Shape { cut: Some(cut), ..plain },
        }
    }
}
