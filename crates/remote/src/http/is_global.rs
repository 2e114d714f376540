//! Which addresses are on the public internet, and which lead into a private network
//! ([IANA's special-purpose registries](https://www.iana.org/assignments/iana-ipv4-special-registry/)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is on the public internet, so that a stranger may make us connect to it.
///
/// This machine, its network, a cloud's metadata service at 169.254.169.254, and each of these written as IPv6, are
/// not.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let within =
        |net: [u8; 4], bits: u32| (address.to_bits() ^ Ipv4Addr::from(net).to_bits()).leading_zeros() >= bits;
    let closed = within([0, 0, 0, 0], 8) // this host; Linux connects 0.0.0.0 to itself
        || within([10, 0, 0, 0], 8)
        || within([100, 64, 0, 0], 10) // shared by carriers, and used by clouds internally
        || within([127, 0, 0, 0], 8)
        || within([169, 254, 0, 0], 16)
        || within([172, 16, 0, 0], 12)
        || within([192, 0, 0, 0], 24)
        || within([192, 168, 0, 0], 16)
        || within([198, 18, 0, 0], 15)
        || within([224, 0, 0, 0], 3); // multicast and reserved
    !closed
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Mapped, and compatible, which has :: and ::1 in it.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => is_global_v4(embedded(high, low)) && (high, low) > (0, 1),
        // NAT64, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_global_v4(embedded(high, low)),
        // Unique local, link-local, the old site-local, multicast; local-use NAT64.
        [0xfc00..=0xfdff | 0xfe80..=0xfeff | 0xff00..=0xffff, ..] | [0x64, 0xff9b, 1, ..] => false,
        _ => true,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_strangers_can_reach_is_global() {
        for address in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(is_global(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global(address.parse().unwrap()), "{address}");
        }
    }
}
