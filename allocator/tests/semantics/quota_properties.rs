//! Quotas in random clusters: what is set, and what is to be served. Limits and headroom are invariants
//! (AL-7, AL-8), checked of each run.

use tepui_protocol::{Capability, Quota, Role};

use super::World;

pub(super) const COUNT: usize = 7;

/// Guarantees and limits.
const QUOTAS: [(&str, &str); COUNT] = [
    ("", ""),
    ("cpus:2", ""),
    ("cpus:1;mem:256", "cpus:3;mem:600"),
    ("", "cpus:2;gpus:0"),
    ("", "mem:0"),
    ("cpus:6;disk:5", "cpus:6;disk:9"),
    ("cpus:30;mem:100", ""),
];

pub(super) fn some(at: usize) -> Quota {
    let (guarantees, limits) = QUOTAS[at];
    Quota {
        guarantees: guarantees.parse().unwrap(),
        limits: limits.parse().unwrap(),
    }
}

impl World {
    pub(super) fn has_quotas(&self) -> bool {
        let roles = self.allocator.roles();
        roles.values().any(|view| !view.quota.is_default())
    }

    /// After a tick, what a role lacks of its guarantee is not free where somebody would take it. Leaves out
    /// roles with quotas above or below them: how those divide a guarantee is in the oracles.
    pub(super) fn assert_guarantees_are_served(&self) {
        let (roles, frameworks) = (self.allocator.roles(), self.allocator.frameworks());
        let has_quota = |role: &Role| roles.get(role).is_some_and(|view| !view.quota.is_default());
        let alone = |role: &Role| {
            !role.ancestors().any(|above| has_quota(&above))
                && !roles
                    .keys()
                    .any(|below| role.is_ancestor_of(below) && has_quota(below))
        };
        for (role, view) in roles.iter().filter(|(role, _)| alone(role)) {
            let lacks = view.quota.guarantees.clone() - &view.consumed;
            for (on, agent) in self.allocator.agents() {
                let listed = self
                    .whitelist
                    .as_ref()
                    .is_none_or(|hosts| hosts.contains(on.as_str()));
                let free = agent.available.unreserved().non_revocable();
                let part = |name| lacks.get(name).min(free.scalar(name)).milli();
                let worth = part("cpus") >= 10 || part("mem") >= 32_000;
                if !agent.active || !listed || !worth {
                    continue;
                }
                for id in &view.frameworks {
                    let terms = &self.terms[id];
                    let able = terms.capabilities.contains(&Capability::GpuResources)
                        || agent.total.gpus().is_zero();
                    let framework = &frameworks[id];
                    let takes = self.may_have(terms, role, &on)
                        && framework.active
                        && terms.roles.contains(role)
                        && !framework.suppressed.contains(role);
                    let refused = self.refusals.iter().any(|refusal| {
                        (&refusal.framework, &refusal.role, &refusal.agent) == (id, role, &on)
                    });
                    assert!(
                        !able || !takes || refused,
                        "{role} lacks {lacks}, and {id} was not offered {free} on {on}"
                    );
                }
            }
        }
    }
}
