//! The addresses of an agent's private networks: an IPv4 subnet, whose first address is the machine's.

use std::{fmt, net::Ipv4Addr, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// The machine's side of each link.
const GATEWAY: u16 = 1;
/// The least and most bits of it that are fixed: so that numbers have 16 bits and somebody has room.
const PREFIXES: RangeInclusive<u32> = 16..=30;

/// An IPv4 subnet, as `10.88.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u32,
}

impl Default for Subnet {
    fn default() -> Self {
        Self {
            base: Ipv4Addr::new(10, 88, 0, 0),
            prefix: 16,
        }
    }
}

impl Subnet {
    /// The one that follows this one by `n`, as large.
    #[must_use]
    pub fn after(self, n: u32) -> Self {
        let size = 1u32 << (32 - self.prefix);
        let base = self.base.to_bits().wrapping_add(n.wrapping_mul(size));
        Self {
            base: Ipv4Addr::from_bits(base),
            ..self
        }
    }

    pub(super) fn gateway(self) -> Ipv4Addr {
        self.address(GATEWAY)
    }

    pub(super) fn address(self, index: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | u32::from(index))
    }

    /// The numbers of addresses for tasks; the last one is that of everybody.
    pub(super) fn indices(self) -> RangeInclusive<u16> {
        let last = u16::try_from((1u32 << (32 - self.prefix)) - 2).unwrap_or(u16::MAX - 1);
        GATEWAY + 1..=last
    }

    /// The device that has addresses of this subnet, in the words of `/proc/net/route`, and is not
    /// one of those that begin with `ours`.
    pub(super) fn overlaps<'a>(self, routes: &'a str, ours: &str) -> Option<&'a str> {
        // Numbers there are in the order of the machine's memory.
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
        let own = self.mask();
        routes.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (destination, mask) = (number(fields.get(1)?)?, number(fields.get(7)?)?);
            let common = own & mask;
            let meets = destination & common == self.base.to_bits() & common;
            // A default route leads everywhere and has no addresses.
            (mask != 0 && meets && !fields[0].starts_with(ours)).then_some(fields[0])
        })
    }

    fn mask(self) -> u32 {
        u32::MAX << (32 - self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: must be an IPv4 subnet of 16 to 30 bits, as 10.88.0.0/16");
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (base, prefix) = (base.parse::<Ipv4Addr>(), prefix.parse::<u32>());
        match (base, prefix) {
            (Ok(base), Ok(prefix)) if PREFIXES.contains(&prefix) => {
                let subnet = Self { base, prefix };
                let first = base.to_bits() & subnet.mask() == base.to_bits();
                first.then_some(subnet).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_between_the_machine_and_everybody() {
        let subnet: Subnet = "10.1.2.8/29".parse().unwrap();
        assert_eq!(subnet.gateway().to_string(), "10.1.2.9");
        let all: Vec<String> = subnet
            .indices()
            .map(|i| subnet.address(i).to_string())
            .collect();
        assert_eq!(
            (all.len(), all[0].as_str(), all[4].as_str()),
            (5, "10.1.2.10", "10.1.2.14")
        );
        assert_eq!(*Subnet::default().indices().end(), 65534);
        assert_eq!(subnet.after(2).to_string(), "10.1.2.24/29");
    }

    #[test]
    fn what_is_no_subnet_is_named_with_an_example() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/8",
            "10.0.0.0/31",
            "10.0.0.1/24",
            "::/64",
        ] {
            let told = text.parse::<Subnet>().unwrap_err();
            assert!(
                told.starts_with(text) && told.contains("10.88.0.0/16"),
                "{told}"
            );
        }
    }

    #[test]
    fn another_network_with_its_addresses_is_found() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                      eth0\t00000000\t010A0A0A\t0003\t0\t0\t0\t00000000\t0\n\
                      eth0\t00001EAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n\
                      tp1-0002\t0200580A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\n";
        let find = |text: &str, ours| text.parse::<Subnet>().unwrap().overlaps(routes, ours);
        assert_eq!(find("172.30.5.0/24", "tp1"), Some("eth0"));
        assert_eq!(find("172.31.0.0/16", "tp1"), None);
        assert_eq!(find("10.88.0.0/16", "tp1"), None);
        assert_eq!(find("10.88.0.0/16", "tp2"), Some("tp1-0002"));
    }
}
