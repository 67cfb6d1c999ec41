//! The network of a group in a job file.

use tepui_framework::protocol::{NetworkInfo, NetworkMode, PortMapping};
use toml::de::{DeTable, DeValue};

use super::{Problem, at, bad, find, number, text_of};
use crate::job::Group;

/// `network`, `publish` and `egress_mbit`; the last two mean a private network.
pub(super) fn network(table: &DeTable<'_>, group: &mut Group) -> Result<(), Problem> {
    let named = ["network", "publish", "egress_mbit"].map(|key| find(table, key));
    let [mode, publish, egress] = named;
    let Some(first) = mode.or(publish).or(egress) else {
        return Ok(());
    };
    let mut info = NetworkInfo::private();
    if let Some(value) = mode {
        let text = text_of("network", value)?;
        let mode: Result<NetworkMode, _> = text.parse();
        info.mode = mode.map_err(|rule| bad("network", value, rule))?;
    }
    if let Some(value) = publish {
        let rule = "must be a list of texts, as [\"31080:8080\"]";
        let DeValue::Array(array) = value.get_ref() else {
            return Err(bad("publish", value, rule));
        };
        for entry in array {
            let text = entry.get_ref().as_str();
            let text = text.ok_or_else(|| bad("publish", value, rule))?;
            let mapping = PortMapping::parse(text);
            let mapping = mapping.map_err(|rule| bad("publish", entry, rule))?;
            info.port_mappings.push(mapping);
        }
    }
    if let Some(value) = egress {
        info.egress_mbit = Some(number("egress_mbit", value)?);
    }
    let set = group.set_network(info);
    set.map_err(|problem| at(first, format!("network: {problem}")))
}
