//! Networks of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The part of an IPv6 address that identifies a site. One client can use every address in it.
const IPV6_SITE: u8 = 64;

/// A network in CIDR notation, such as `10.244.0.0/16`. A single address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be an IP address or a network, such as \"127.0.0.1\" or \"10.244.0.0/16\"")]
pub struct InvalidNetwork;

impl Network {
    /// The network of an address with this many leading bits. `None` if the address has fewer bits.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) => (canonical, prefix.checked_sub(96)?),
            (_, canonical) => (canonical, prefix),
        };
        (prefix <= bits(address)).then(|| Self { address: masked(address, prefix), prefix })
    }

    /// Whether an address belongs to it. An IPv4 address may be written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    /// Whether it contains every address of its family.
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    /// The addresses that count as one client: one IPv4 address, or a /64 of IPv6.
    pub fn of_client(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { bits(address) } else { IPV6_SITE };
        Self { address: masked(address, prefix), prefix }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: bits(address) }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| InvalidNetwork);
        };
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_number).ok_or(InvalidNetwork)?;
        let address = address.parse().map_err(|_| InvalidNetwork)?;
        Self::new(address, prefix).ok_or(InvalidNetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with every bit after the prefix cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let shift = u32::from(bits(address) - prefix);
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::MAX.checked_shl(shift).unwrap_or(0) & u32::from(address)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::MAX.checked_shl(shift).unwrap_or(0) & u128::from(address)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, written) in [
            ("10.244.0.0/16", "10.244.0.0/16"),
            ("10.244.3.7/16", "10.244.0.0/16"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1/32", "127.0.0.1"),
            ("fd00:1::/48", "fd00:1::/48"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()), Ok(written.to_owned()), "{text}");
        }
        for bad in
            ["", "*", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/+8", "fd00::/129", "::ffff:10.0.0.1/64", "a/8"]
        {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork), "{bad}");
        }
    }

    #[test]
    fn r57_an_address_belongs_to_the_network_of_its_prefix() {
        let network: Network = "10.244.0.0/16".parse().unwrap();
        for (address, belongs) in [
            ("10.244.0.0", true),
            ("10.244.255.255", true),
            ("::ffff:10.244.1.1", true),
            ("10.245.0.0", false),
            ("::1", false),
        ] {
            assert_eq!(network.contains(ip(address)), belongs, "{address}");
        }
        let network: Network = "fd00:0:0:8000::/49".parse().unwrap();
        assert!(network.contains(ip("fd00:0:0:ffff::1")) && !network.contains(ip("fd00:0:0:7fff::1")));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains(ip("2001:db8::1")) && !all.contains(ip("10.0.0.1")) && all.is_everything());
    }

    #[test]
    fn r59_the_addresses_of_an_ipv6_site_count_as_one_client() {
        let key = |text: &str| Network::of_client(ip(text)).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(key("2001:db8:1:2:ffff::"), key("2001:db8:1:2::1"));
        assert_ne!(key("2001:db8:1:3::1"), key("2001:db8:1:2::1"));
        assert_eq!((key("192.0.2.7").as_str(), key("::ffff:192.0.2.7").as_str()), ("192.0.2.7", "192.0.2.7"));
    }
}
