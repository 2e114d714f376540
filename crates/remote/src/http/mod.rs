//! HTTP below everything that is about registries: connections, proxies, redirects, and the meaning of an answer.
//!
//! Nothing here knows credentials or hosts' descriptions; callers pass the headers and files that they want used.

pub(crate) mod coding;
pub(crate) mod content_range;
mod explanation;
mod guarded;
pub(crate) mod is_global;
pub(crate) mod link;
mod loopback;
mod proxy;
mod redirect;
pub(crate) mod response;
pub(crate) mod ssrf;
mod transport;

pub(crate) use is_global::is_global;
pub(crate) use loopback::is_loopback;
pub(crate) use proxy::{Proxies, Proxy};
pub(crate) use redirect::{Failure, Outgoing};
pub(crate) use response::Question;
pub(crate) use transport::{Limits, NEVER, Transport};
