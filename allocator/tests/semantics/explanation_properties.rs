//! Explanations in random clusters: they agree with what the run before did.

use tepui_protocol::explanation::Reason;

use super::World;

impl World {
    /// After a tick without refusals, whatever is free is not for anybody, and each agent is counted once.
    pub(super) fn assert_nothing_is_next(&mut self) {
        let agents = self.allocator.agents().len();
        for id in self.terms.keys() {
            let Some(explanation) = self.allocator.explain(id) else {
                return;
            };
            for turn in &explanation.turns {
                let next = turn.agents.get(&Reason::Next);
                assert_eq!(next, None, "{id} waits after a run: {turn:?}");
                assert_eq!(turn.agents.values().sum::<usize>(), agents);
            }
        }
    }
}
