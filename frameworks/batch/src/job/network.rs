//! The network of the instances of a group.

use tepui_framework::protocol::{NetworkInfo, Resource, Resources, resources::Ranges};

use super::Group;

impl Group {
    /// Gives each instance this network, and the ports of its machine that are mapped to it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn set_network(&mut self, network: NetworkInfo) -> Result<(), String> {
        let mut ports = self.resources.ports().unwrap_or_default();
        let mut more = Ranges::new();
        for mapping in &network.port_mappings {
            let port = u64::from(mapping.host_port);
            if !ports.contains_number(port) {
                more.insert(port..=port);
            }
        }
        ports += &more;
        network.check(&ports)?;
        if !more.is_empty() {
            self.resources += Resources::from_iter([Resource::ranges("ports", more)]);
        }
        self.lifecycle.network = Some(network);
        Ok(())
    }
}
