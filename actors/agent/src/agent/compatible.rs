//! Whether an agent that restarts may go on as the one it was.
//!
//! What it offers may grow but not shrink, since tasks may use it. What was probed and not given by
//! the operator stays as it was while the machine still has about that: free disk space is less at
//! each start, and that is no change of the machine.

use tepui_protocol::{AgentInfo, Resources, resources};

use super::RecoveryError;
use crate::config::AgentConfig;

/// What the agent is from now on: the id of before, with the settings of now.
///
/// # Errors
/// [`RecoveryError::Incompatible`] with the exact difference.
pub(super) fn merged(before: &AgentInfo, config: &AgentConfig) -> Result<AgentInfo, RecoveryError> {
    let refuse = |what, difference| Err(RecoveryError::Incompatible { what, difference });
    if before.hostname != config.hostname {
        return refuse(
            "hostname",
            format!("it was {}, it is {}", before.hostname, config.hostname),
        );
    }
    for (name, was) in &before.attributes {
        match config.attributes.get(name) {
            Some(is) if is == was => {}
            Some(is) => return refuse("attributes", format!("{name} was {was}, it is {is}")),
            None => return refuse("attributes", format!("{name}={was} is missing")),
        }
    }
    let now = with_probed_of(&before.resources, config);
    if !now.contains(&before.resources) {
        let missing = &before.resources - &now;
        let (was, is) = (&before.resources, &now);
        return refuse(
            "resources",
            format!("{missing} is missing (they were {was}, they are {is})"),
        );
    }
    Ok(AgentInfo {
        id: before.id.clone(),
        resources: now,
        ..config.info()
    })
}

/// The resources of now, with the probed disk and memory of before.
fn with_probed_of(before: &Resources, config: &AgentConfig) -> Resources {
    let drifts = |name: &str| {
        let drifting = [resources::DISK, resources::MEM].contains(&name);
        drifting && !config.explicit_resources.contains(name)
    };
    let kept = before
        .iter()
        .filter(|resource| drifts(&resource.name))
        .cloned();
    let had = |name: &str| before.names().any(|known| known == name);
    let fresh = config.resources.iter();
    let fresh = fresh
        .filter(|resource| !(drifts(&resource.name) && had(&resource.name)))
        .cloned();
    kept.chain(fresh).collect()
}
