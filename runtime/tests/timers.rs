//! Timers that are set by an actor's futures, with nothing else to wake the actor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_runtime::{prelude::*, testkit};

/// Does something that takes a moment, then sets a timer.
struct Later(Arc<AtomicU64>);

impl Actor for Later {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let working = tokio::task::yield_now().into_actor(self);
        ctx.spawn(working.map(|(), _, ctx| {
            ctx.run_later(Duration::from_secs(1), |actor: &mut Self, _| {
                actor.0.fetch_add(1, Ordering::Relaxed);
            });
        }));
    }
}

accepts!(Later:);

/// Found by seed 125 of the cluster's simulation: an agent that had nothing to do but to try again
/// never did.
#[test]
fn a_timer_set_when_a_future_ends_fires_although_nothing_else_happens() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let fired = Arc::<AtomicU64>::default();
        node.spawn("later", Later(fired.clone())).unwrap();
        kit.advance(Duration::from_secs(2)).await;
        assert_eq!(fired.load(Ordering::Relaxed), 1);
    });
}
