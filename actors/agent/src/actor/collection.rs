//! Collection of sandboxes, from the agent's start on.

use tepui_isolation::sandbox::collection::Collection;
use tepui_protocol::Timestamp;
use tepui_runtime::prelude::*;

use super::AgentActor;

impl AgentActor {
    /// Collects sandboxes now and, as long as the agent lives, again after the interval.
    ///
    /// They are listed before it is asked which runs live: a run is known before it has a sandbox, so
    /// that none that begins in between is taken for ended.
    pub(super) fn collect_sandboxes(&mut self, ctx: &mut Context<Self>) {
        let config = self.state.config();
        let (every, work_dir) = (config.disk_watch_interval, config.work_dir.clone());
        if every.is_zero() {
            return;
        }
        let collection = Collection {
            delay: config.gc_delay,
            headroom: config.gc_disk_headroom,
        };
        let Some(listed) = self.launcher.sandboxes(work_dir.clone()) else {
            return;
        };
        ctx.spawn(listed.into_actor(self).map(move |kept, actor, ctx| {
            let live = actor.state.live_runs();
            let now = Timestamp(ctx.now());
            let collected = actor
                .launcher
                .collect(collection, now, work_dir, kept, live)
                .into_actor(actor);
            ctx.spawn(collected.map(move |(), _, ctx| {
                ctx.run_later(every, Self::collect_sandboxes);
            }));
        }));
    }
}
