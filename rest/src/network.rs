//! Networks: an address and how many of its first bits count.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses with the same first bits as this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// This text names no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no address, and no network such as 10.0.0.0/8")]
pub struct NoNetwork;

impl Network {
    /// Whether this address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other) = (number(self.address), number(address));
        // Of all bits, those behind the first ones are shifted out; a shift by all of them leaves none.
        own.1 == other.1 && (own.0 ^ other.0).checked_shr(own.1 - self.bits).unwrap_or(0) == 0
    }
}

/// An address as a number, and its bits.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let all = number(address).1;
        let bits = bits.map_or(Ok(all), str::parse).map_err(|_| NoNetwork)?;
        if bits <= all { Ok(Self { address, bits }) } else { Err(NoNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_with_its_first_bits() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", ["10.1.0.0", "10.1.255.255"], ["10.2.0.0", "::ffff:a01:1"]),
            ("10.1.2.3", ["10.1.2.3", "10.1.2.3"], ["10.1.2.2", "10.1.2.4"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("fd00::/8", ["fd00::1", "fdff::1"], ["fe00::1", "10.0.0.1"]),
            ("::/0", ["::", "ffff::"], ["0.0.0.0", "10.0.0.1"]),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(inside.iter().all(|address| network.contains(address.parse().unwrap())), "{network}");
            assert!(!outside.iter().any(|address| network.contains(address.parse().unwrap())), "{network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn what_names_no_network_is_refused() {
        for wrong in ["", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/-1", "10.0.0.0/8/8"]
        {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
