//! From which address a request comes, as the socket says: no header is believed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::network::Network;

/// Among a request's extensions: it came over TLS that ends here.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// Whether nobody on the way could read the request, as far as is known here.
pub(crate) fn is_encrypted(parts: &Parts) -> bool {
    parts.extensions.get::<Encrypted>().is_some()
}

/// The peer's address; where `server` put none, all share the unspecified one.
pub(crate) fn address_of(extensions: &Extensions) -> IpAddr {
    let connection = extensions.get::<ConnectInfo<SocketAddr>>();
    connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical())
}

/// Whether the request comes from this machine itself, and not through a proxy on it that says whom it serves.
pub(crate) fn is_local(parts: &Parts) -> bool {
    address_of(&parts.extensions).is_loopback() && !is_forwarded(&parts.headers)
}

/// Whether the request comes straight from one of these networks.
pub(crate) fn is_from(parts: &Parts, networks: &[Network]) -> bool {
    let address = address_of(&parts.extensions);
    networks.iter().any(|network| network.contains(address)) && !is_forwarded(&parts.headers)
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-") || name == "x-real-ip")
}
