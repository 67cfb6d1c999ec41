//! The network of the tasks of `tepui run`, by flag.

use clap::Args;
use tepui_batch::Group;
use tepui_protocol::{NetworkInfo, NetworkMode, PortMapping};

/// The network of each instance.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Network (docs/network.md)")]
pub(super) struct NetworkFlags {
    /// Whose network each instance is in: host, the machine's, or private, one of its own [default: what the agents say]
    #[arg(long, value_name = "MODE", conflicts_with_all = ["job", "pod"])]
    network: Option<NetworkMode>,
    /// A port of the machine that leads to a port of the instance, with a private network; may be repeated
    #[arg(long, value_name = "PORT[:TASK_PORT]", value_parser = PortMapping::parse, conflicts_with_all = ["job", "pod"])]
    publish: Vec<PortMapping>,
    /// The most that an instance may send, in Mbit/s, with a private network
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["job", "pod"])]
    egress_mbit: Option<u32>,
}

impl NetworkFlags {
    /// Gives a group the network that the flags ask for.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn apply(&self, group: &mut Group) -> Result<(), String> {
        let is_asked = !self.publish.is_empty() || self.egress_mbit.is_some();
        let mode = match self.network {
            Some(mode) => mode,
            None if is_asked => NetworkMode::Private,
            None => return Ok(()),
        };
        group.set_network(NetworkInfo {
            mode,
            port_mappings: self.publish.clone(),
            egress_mbit: self.egress_mbit,
        })
    }
}

#[cfg(test)]
mod tests {
    use tepui_protocol::Resources;

    use super::*;

    #[test]
    fn a_port_to_publish_is_asked_of_the_machine_and_means_a_private_network() {
        let mut group = Group::new("g", "true", 1, Resources::new());
        NetworkFlags::default().apply(&mut group).unwrap();
        assert_eq!(group.lifecycle.network, None);
        let flags = NetworkFlags {
            publish: vec![PortMapping::parse("31080:80").unwrap()],
            ..NetworkFlags::default()
        };
        flags.apply(&mut group).unwrap();
        assert_eq!(group.resources.to_string(), "ports:[31080-31080]");
        let network = group.lifecycle.network.unwrap();
        assert_eq!(network.mode, NetworkMode::Private);
        let host = NetworkFlags {
            network: Some(NetworkMode::Host),
            ..flags
        };
        let mut group = Group::new("g", "true", 1, Resources::new());
        let told = host.apply(&mut group).unwrap_err();
        assert!(told.contains("need a private network"), "{told}");
    }
}
