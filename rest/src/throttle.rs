//! How often one may ask: a generic cell rate algorithm per person or address (ITU-T I.371), in bounded memory.
//!
//! A key's whole state is one moment, the *theoretical arrival time*: it moves on by one interval a request, and a
//! request is refused when it lies further ahead than a full minute's worth. Keys whose moment has passed are forgotten.
//! BOUNDED: [`KEYS_MAX`] keys a limit; when all are busy, newcomers share one, so a flood of addresses slows itself.
//!
//! Where several processes share the load, what this one lets in is counted on all of them together as well, by the
//! minute. That asks another machine, so it may take [`ASKING`] and no more; without an answer the local limit is all.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hubbub_protocol::UserId;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::error::{ApiError, ApiResult};

/// Keys a limit remembers: 65,536 of about 48 bytes are 3 MiB.
const KEYS_MAX: usize = 65_536;
/// Sweeping visits every key, so it is not done more often than this.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
/// How long the other processes' count is waited for.
const ASKING: Duration = Duration::from_millis(50);

/// How often one may ask, in requests a minute; `None` switches a limit off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// `POST /auth/*`, per address.
    pub auth_per_minute: Option<u32>,
    /// All that needs a login, per person.
    pub general_per_minute: Option<u32>,
    /// Whether loopback addresses are free of the limit per address: a proxy in front, or a test on this machine.
    pub exempt_loopback: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { auth_per_minute: Some(30), general_per_minute: Some(600), exempt_loopback: false }
    }
}

/// The limits of this process, and those it shares.
pub(crate) struct Throttle {
    start: Instant,
    auth: Option<Limit<IpAddr>>,
    general: Option<Limit<UserId>>,
    exempt_loopback: bool,
    /// Requests whose token was refused have no person to count for.
    refused: Option<Limit<IpAddr>>,
    cluster: Option<Arc<dyn Cluster>>,
}

impl Throttle {
    pub(crate) fn new(rates: RateLimits, cluster: Option<Arc<dyn Cluster>>) -> Self {
        Self {
            start: Instant::now(),
            auth: rates.auth_per_minute.map(|rate| Limit::new("auth_per_minute", rate)),
            general: rates.general_per_minute.map(|rate| Limit::new("general_per_minute", rate)),
            exempt_loopback: rates.exempt_loopback,
            refused: rates.general_per_minute.map(|rate| Limit::new("general_per_minute", rate)),
            cluster,
        }
    }

    /// Counts a login, registration or refresh.
    pub(crate) async fn count_auth(&self, address: IpAddr) -> ApiResult<()> {
        self.count_address(self.auth.as_ref(), address).await
    }

    /// Counts a person's request.
    pub(crate) async fn count_person(&self, user_id: UserId) -> ApiResult<()> {
        let Some(limit) = &self.general else { return Ok(()) };
        self.count(limit, user_id, user_id.as_bytes()).await
    }

    /// Counts a request whose token was refused.
    pub(crate) async fn count_refused(&self, address: IpAddr) -> ApiResult<()> {
        self.count_address(self.refused.as_ref(), address).await
    }

    async fn count_address(&self, limit: Option<&Limit<IpAddr>>, address: IpAddr) -> ApiResult<()> {
        let Some(limit) = limit else { return Ok(()) };
        if self.exempt_loopback && address.is_loopback() {
            return Ok(());
        }
        match network(address) {
            network @ IpAddr::V4(v4) => self.count(limit, network, &v4.octets()).await,
            network @ IpAddr::V6(v6) => self.count(limit, network, &v6.octets()).await,
        }
    }

    /// Here first, so that a flood stays here; then everywhere.
    async fn count<K: Hash + Eq>(&self, limit: &Limit<K>, key: K, name: &[u8]) -> ApiResult<()> {
        limit.count(key, self.start.elapsed()).map_err(|wait| limit.refusal(wait, "here"))?;
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let key = [limit.name.as_bytes(), b"/", name].concat();
        match timeout(ASKING, cluster.count(&key, MINUTE)).await {
            // When its minute began is not told; a whole one heals it in any case.
            Ok(Some(count)) if count > u64::from(limit.per_minute) => Err(limit.refusal(MINUTE, "everywhere")),
            // Within it; or nobody to ask, or no answer in time: then the local limit is all (REDIS-FREE TRUTH).
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// One household has a /64 of version 6 addresses, and counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

struct Limit<K> {
    name: &'static str,
    per_minute: u32,
    keys: Mutex<Keys<K>>,
}

struct Keys<K> {
    arrivals: HashMap<K, Duration>,
    shared: Duration,
    swept: Duration,
}

impl<K: Hash + Eq> Limit<K> {
    fn new(name: &'static str, per_minute: u32) -> Self {
        let keys = Keys { arrivals: HashMap::new(), shared: Duration::ZERO, swept: Duration::ZERO };
        Self { name, per_minute: per_minute.max(1), keys: Mutex::new(keys) }
    }

    /// What is answered to whoever asked too often, `counted` on this process or on all.
    fn refusal(&self, wait: Duration, counted: &'static str) -> ApiError {
        metrics::counter!("hubbub_http_rate_limited_total", "limit" => self.name, "counted" => counted).increment(1);
        // Rounded up, so that whoever waits so long is let in.
        ApiError::rate_limited(self.name, self.per_minute, wait.as_millis().div_ceil(1000).try_into().unwrap_or(60))
    }

    /// Counts one request at `now`, or says how long to wait.
    fn count(&self, key: K, now: Duration) -> Result<(), Duration> {
        let interval = MINUTE / self.per_minute;
        // A panic while counting leaves numbers, not a broken promise: go on with them.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = keys.arrival(key, now);
        let next = (*arrival).max(now) + interval;
        match next.checked_sub(now + MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *arrival = next;
                Ok(())
            }
        }
    }
}

impl<K: Hash + Eq> Keys<K> {
    fn arrival(&mut self, key: K, now: Duration) -> &mut Duration {
        if self.arrivals.len() >= KEYS_MAX && !self.arrivals.contains_key(&key) {
            if now.saturating_sub(self.swept) >= SWEEP_EVERY {
                self.swept = now;
                self.arrivals.retain(|_, arrival| *arrival > now);
            }
            if self.arrivals.len() >= KEYS_MAX {
                return &mut self.shared;
            }
        }
        self.arrivals.entry(key).or_insert(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    #[test]
    fn a_minutes_worth_is_taken_at_once_and_then_one_an_interval() {
        let limit = Limit::new("test", 30);
        for _ in 0..30 {
            limit.count(1, NOW).unwrap();
        }
        let wait = limit.count(1, NOW).unwrap_err();
        assert_eq!(wait, Duration::from_secs(2));
        limit.count(2, NOW).expect("another key has its own");
        limit.count(1, NOW + wait).expect("after the told time it is let in");
        limit.count(1, NOW + wait).unwrap_err();
    }

    #[test]
    fn refused_requests_do_not_lengthen_the_wait() {
        let limit = Limit::new("test", 1);
        limit.count(1, NOW).unwrap();
        for _ in 0..100 {
            assert_eq!(limit.count(1, NOW).unwrap_err(), MINUTE);
        }
        limit.count(1, NOW + MINUTE).unwrap();
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_shares_one_place() {
        let limit = Limit::new("test", 2);
        for key in 0..KEYS_MAX {
            limit.count(key, NOW).unwrap();
        }
        limit.count(KEYS_MAX, NOW).unwrap();
        limit.count(KEYS_MAX + 1, NOW).unwrap();
        limit.count(KEYS_MAX + 2, NOW).expect_err("BOUNDED: newcomers share one place");
        assert_eq!(limit.keys.lock().unwrap().arrivals.len(), KEYS_MAX);
        let later = NOW + MINUTE;
        limit.count(KEYS_MAX + 2, later).expect("idle keys were forgotten");
        assert_eq!(limit.keys.lock().unwrap().arrivals.len(), 1);
    }

    #[test]
    fn addresses_of_one_household_count_as_one() {
        let one = network("2001:db8:1:2::1".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2:ffff::7".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
    }
}
