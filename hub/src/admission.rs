//! Who is let in at the door: counts in all and per address (BOUNDED). Shared by all threads.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::config::HubConfig;

/// The counts.
pub struct Admission {
    open: AtomicUsize,
    per_address: DashMap<IpAddr, usize>,
    max_open: usize,
    max_per_address: usize,
    exempt_loopback: bool,
}

/// A place that was given; dropping it gives it back.
pub struct Permit {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// Nobody is in yet.
    #[must_use]
    pub fn new(config: &HubConfig) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            per_address: DashMap::new(),
            max_open: config.max_connections,
            max_per_address: config.max_connections_per_address,
            exempt_loopback: config.exempt_loopback,
        })
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    ///
    /// The name of the limit that is reached.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, &'static str> {
        // The permit is made first, so that every way out gives the count back.
        let mut permit = Permit { admission: Arc::clone(self), address: None };
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max_open {
            return Err("max_connections");
        }
        if self.exempt_loopback && peer.is_loopback() {
            return Ok(permit);
        }
        let address = network_of(peer);
        let mut count = self.per_address.entry(address).or_insert(0);
        if *count >= self.max_per_address {
            return Err("max_connections_per_address");
        }
        *count += 1;
        permit.address = Some(address);
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            self.admission.per_address.remove_if_mut(&address, |_, count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
        }
    }
}

/// Whoever has one IPv6 address has its /64.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(in_all: usize, per_address: usize) -> Arc<Admission> {
        let config =
            HubConfig { max_connections: in_all, max_connections_per_address: per_address, ..HubConfig::default() };
        Admission::new(&config)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bounded_in_all_and_a_dropped_permit_is_free_again() {
        let admission = admission(1, 10);
        let held = admission.admit(address("192.0.2.1")).ok().unwrap();
        assert_eq!(admission.admit(address("192.0.2.2")).err(), Some("max_connections"), "BOUNDED in all");
        drop(held);
        assert!(admission.admit(address("192.0.2.2")).is_ok());
    }

    #[test]
    fn bounded_per_address_and_others_still_get_in() {
        let admission = admission(10, 1);
        let _held = admission.admit(address("2001:db8::1")).ok().unwrap();
        assert_eq!(admission.admit(address("2001:db8::2")).err(), Some("max_connections_per_address"), "one /64");
        assert!(admission.admit(address("2001:db8:0:1::1")).is_ok());
        assert!(admission.admit(address("127.0.0.1")).is_ok());
        assert!(admission.admit(address("127.0.0.1")).is_ok(), "loopback is exempt");
    }
}
