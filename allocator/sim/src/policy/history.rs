//! An order with a memory: the role that had least lately is next, its jobs go first in, first out.
//!
//! Keys change with time, so that they are looked up anew in each instant: a decision costs O(hungry roles), where
//! the orders without a memory keep a tree.

use std::{collections::BTreeSet, time::Duration};

use tepui_allocator::history::HistoryOrder;

use super::{Event, Policy, PolicyError, Stage, fair::Heads};
use crate::{amounts::LANES, time::Time, trace::JobId, world::World};

/// The policy `history`.
#[derive(Debug)]
pub(super) struct History {
    order: HistoryOrder<LANES>,
    heads: Heads,
    something_is_free: bool,
}

impl History {
    pub(super) fn new(world: &World, half_life: Time) -> Self {
        let mut order = HistoryOrder::new(world.cluster().capacity(), span(half_life.max(Time(1))));
        let roles = &world.workload().roles;
        for role in 0..roles.len() as u32 {
            order.add_role(roles.flat_weight(role), Duration::ZERO);
        }
        Self {
            order,
            heads: Heads::new(world),
            something_is_free: false,
        }
    }

    /// By what a role is ordered; none if its first job does not fit.
    fn key(&self, world: &World, role: u32) -> Option<(u128, u32)> {
        let head = self.heads.of(role)?;
        let is_open = self.heads.classes.is_open(world.job(head).class);
        is_open.then(|| (self.order.key(role as usize, span(world.now())), role))
    }
}

impl Policy for History {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => {
                self.heads.advance(world, world.job(job).role);
            }
            Event::Ended(job) => {
                let (role, held) = (world.job(job).role as usize, amounts(world, job));
                self.order.release(role, span(world.now()), &held);
                self.something_is_free = true;
            }
            Event::NodeUp(_) => self.something_is_free = true,
            Event::NodeDown(_) | Event::Woke => {}
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        if std::mem::take(&mut self.something_is_free) {
            self.heads.reopen(stage);
        }
        self.heads.close_hopeless(stage);
        let open: Vec<u32> = self.heads.classes.opened().collect();
        let roles = open
            .iter()
            .flat_map(|class| self.heads.classes.roles(*class));
        let keys = roles.filter_map(|role| self.key(stage.world(), *role));
        let mut queue: BTreeSet<(u128, u32)> = keys.collect();
        while let Some((_, role)) = queue.pop_first() {
            // Its class may have been closed by another role's job meanwhile.
            let Some(head) = self
                .key(stage.world(), role)
                .and_then(|_| self.heads.of(role))
            else {
                continue;
            };
            if !stage.start(head) {
                self.heads.classes.close(stage.world().job(head).class);
                continue;
            }
            let world = stage.world();
            let held = amounts(world, head);
            self.order.hold(role as usize, span(world.now()), &held);
            self.heads.advance(world, role);
            queue.extend(self.key(world, role));
        }
        // Nobody blocks anything by class here.
        self.heads.classes.take_to_block();
        Ok(())
    }
}

fn amounts(world: &World, job: JobId) -> [u64; LANES] {
    let of = world.job(job);
    let demand = world.cluster().ask(of).demand;
    demand
        .lanes()
        .map(|lane| u64::from(lane) * u64::from(of.tasks))
}

fn span(time: Time) -> Duration {
    Duration::from_micros(time.0)
}
