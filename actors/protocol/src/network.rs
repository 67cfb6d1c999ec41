//! The network of a task: that of its machine, or one of its own with ports that are mapped to it.
//!
//! Owns what a task asks for and what it is told to have; making it is `isolation/src/network.rs`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::resources::Ranges;

/// Whose network a task is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The machine's, with all others that are in it.
    #[default]
    Host,
    /// One of its own, with an address of its own.
    Private,
}

impl std::str::FromStr for NetworkMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "host" => Ok(Self::Host),
            "private" => Ok(Self::Private),
            _ => Err("must be host or private"),
        }
    }
}

/// A port of the machine that leads to a port of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    /// On the machine; one of the task's resource `ports`.
    pub host_port: u16,
    /// Where the task listens.
    pub container_port: u16,
}

impl PortMapping {
    /// Reads `31080:8080`, or `31080` for the same port on both sides.
    ///
    /// # Errors
    /// How to write one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, container) = text.split_once(':').unwrap_or((text, text));
        let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0);
        match (port(host), port(container)) {
            (Some(host_port), Some(container_port)) => Ok(Self {
                host_port,
                container_port,
            }),
            _ => Err("must be HOST_PORT or HOST_PORT:TASK_PORT, as 31080:8080"),
        }
    }
}

/// The network that a task with a command asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Whose network it is in.
    pub mode: NetworkMode,
    /// How its ports are mapped; those of its resources that are not named here lead to the same port of
    /// the task. For [`NetworkMode::Private`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<PortMapping>,
    /// The most that it may send, in Mbit/s; as much as its agent allows where absent. For
    /// [`NetworkMode::Private`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_mbit: Option<u32>,
}

impl NetworkInfo {
    /// A network of its own without any mapping.
    pub fn private() -> Self {
        Self {
            mode: NetworkMode::Private,
            ..Self::default()
        }
    }

    /// Whether a task with these ports can have it.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self, ports: &Ranges) -> Result<(), String> {
        let is_plain = self.port_mappings.is_empty() && self.egress_mbit.is_none();
        if self.mode == NetworkMode::Host && !is_plain {
            let needs = "port mappings and a limit of egress need a private network";
            return Err(needs.to_owned());
        }
        if self.egress_mbit == Some(0) {
            return Err("the limit of egress must be a number > 0, in Mbit/s".to_owned());
        }
        for (at, mapping) in self.port_mappings.iter().enumerate() {
            let port = mapping.host_port;
            let earlier = &self.port_mappings[..at];
            if mapping.container_port == 0 {
                return Err(format!("port {port} is mapped to 0: must be from 1 on"));
            }
            if earlier.iter().any(|other| other.host_port == port) {
                return Err(format!("port {port} is mapped twice"));
            }
            if !ports.contains_number(port.into()) {
                return Err(format!("port {port} is mapped, but not one of its ports"));
            }
        }
        Ok(())
    }

    /// All mappings of a task with these ports, by host port.
    pub fn published(&self, ports: &Ranges) -> Vec<PortMapping> {
        let host_ports = ports.numbers().filter_map(|port| u16::try_from(port).ok());
        let mapped = |host_port| {
            let same = PortMapping {
                host_port,
                container_port: host_port,
            };
            let mut named = self.port_mappings.iter();
            let named = named.find(|mapping| mapping.host_port == host_port);
            named.copied().unwrap_or(same)
        };
        host_ports.map(mapped).collect()
    }
}

/// What is known of the container of a task (Mesos's names).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its networks.
    pub network_infos: Vec<NetworkStatus>,
}

/// A network that a task is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Its addresses.
    pub ip_addresses: Vec<TaskAddress>,
    /// Ports of the machine that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<PortMapping>,
}

/// An address of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAddress {
    /// The address.
    pub ip_address: IpAddr,
}

impl ContainerStatus {
    /// One network with one address.
    pub fn of(ip_address: IpAddr, port_mappings: Vec<PortMapping>) -> Self {
        let network = NetworkStatus {
            ip_addresses: vec![TaskAddress { ip_address }],
            port_mappings,
        };
        Self {
            network_infos: vec![network],
        }
    }

    /// Its first address.
    pub fn address(&self) -> Option<IpAddr> {
        let network = self.network_infos.first()?;
        network.ip_addresses.first().map(|found| found.ip_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resources;

    fn ports(text: &str) -> Ranges {
        let resources: Resources = text.parse().unwrap();
        resources.ports().unwrap()
    }

    fn mapping(text: &str) -> PortMapping {
        PortMapping::parse(text).unwrap()
    }

    #[test]
    fn mappings_are_written_as_two_ports_or_one() {
        let two = mapping("31080:8080");
        assert_eq!((two.host_port, two.container_port), (31080, 8080));
        assert_eq!(mapping("31080").container_port, 31080);
        for wrong in ["", "x", "0", "1:0", "70000", "1:2:3"] {
            assert!(PortMapping::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_that_are_not_mapped_lead_to_the_same_port() {
        let info = NetworkInfo {
            port_mappings: vec![mapping("31001:80")],
            ..NetworkInfo::private()
        };
        let ports = ports("ports:[31000-31002]");
        assert_eq!(info.check(&ports), Ok(()));
        let expected = ["31000", "31001:80", "31002"].map(mapping);
        assert_eq!(info.published(&ports), expected);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let ports = ports("ports:[31000-31002]");
        let with = |mode, mappings: &[&str], egress_mbit| NetworkInfo {
            mode,
            port_mappings: mappings.iter().map(|text| mapping(text)).collect(),
            egress_mbit,
        };
        let private = NetworkMode::Private;
        for (info, problem) in [
            (with(NetworkMode::Host, &["31000"], None), "need a private"),
            (with(NetworkMode::Host, &[], Some(1)), "need a private"),
            (with(private, &[], Some(0)), "> 0"),
            (with(private, &["31000:1", "31000:2"], None), "mapped twice"),
            (with(private, &["80"], None), "port 80 is mapped, but not"),
        ] {
            let told = info.check(&ports).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
    }
}
