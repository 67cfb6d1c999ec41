//! The first waiting job of each role, and which of them can be served.

use super::classes::Classes;
use crate::{policy::Stage, trace::JobId, world::World};

/// How many classes are looked at after each start.
const HOPELESS_MAX: usize = 16;

/// The heads of the roles' queues. See the module.
#[derive(Debug)]
pub(in crate::policy) struct Heads {
    heads: Vec<Option<JobId>>,
    pub(in crate::policy) classes: Classes,
}

impl Heads {
    pub(in crate::policy) fn new(world: &World) -> Self {
        Self {
            heads: vec![None; world.workload().roles.len()],
            classes: Classes::new(world.workload().classes as usize),
        }
    }

    /// The first waiting job of a role.
    pub(in crate::policy) fn of(&self, role: u32) -> Option<JobId> {
        self.heads[role as usize]
    }

    /// Makes a role's first waiting job its head. Nothing if it was; else whether it can be served as far as is known.
    pub(in crate::policy) fn advance(&mut self, world: &World, role: u32) -> Option<bool> {
        let head = world.pending_of(role).next();
        let before = std::mem::replace(&mut self.heads[role as usize], head);
        if before == head {
            return None;
        }
        let class = |job: JobId| world.job(job).class;
        if let Some(before) = before {
            self.classes.leave(class(before), role);
        }
        Some(head.is_some_and(|head| self.classes.join(class(head), role)))
    }

    /// The job that stands for a class.
    pub(in crate::policy) fn of_class(&self, class: u32) -> Option<JobId> {
        let role = self.classes.roles(class).first()?;
        self.heads[*role as usize]
    }

    /// Opens the classes that fit again; which ones.
    pub(in crate::policy) fn reopen(&mut self, stage: &mut Stage<'_>) -> Vec<u32> {
        let mut opened = self.classes.closed();
        opened.retain(|class| {
            self.of_class(*class)
                .is_some_and(|head| stage.would_fit(head))
        });
        for class in &opened {
            self.classes.open(*class);
        }
        opened
    }

    /// Closes classes for which too little is left in all: no order need be asked to find that out.
    pub(in crate::policy) fn close_hopeless(&mut self, stage: &Stage<'_>) {
        let opened: Vec<u32> = self.classes.opened().take(HOPELESS_MAX).collect();
        for class in opened {
            if self
                .of_class(class)
                .is_some_and(|head| !stage.may_fit(head))
            {
                self.classes.close(class);
            }
        }
    }
}
