//! What a policy acts through: starting jobs, with the built-in placement or with its own.

use crate::{
    cluster::{Ask, NodeId, Piece, Placement},
    engine::Core,
    random::Random,
    time::Time,
    trace::JobId,
    world::{Phase, World},
};

/// The world, and the right to start jobs in it.
#[derive(Debug)]
pub struct Stage<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) started: u32,
}

/// Why a job was not started where a policy wanted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotStart {
    /// It does not wait: it runs, has ended or was not submitted.
    #[error("the job does not wait")]
    NotPending,
    /// There are too many or too few tasks in the pieces.
    #[error("{named} tasks are placed, the job has {has}")]
    TaskCount {
        /// Tasks of the pieces.
        named: u64,
        /// Tasks of the job.
        has: u32,
    },
    /// There is no such node, or no room on it.
    #[error("node {}: no room for {} tasks", .0.node.0, .0.tasks)]
    NoRoom(Piece),
}

impl Stage<'_> {
    /// What can be seen.
    pub fn world(&self) -> &World {
        &self.core.world
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.core.world.now
    }

    /// The seeded source of chance for policies.
    pub fn random(&mut self) -> &mut Random {
        &mut self.core.random
    }

    /// Jobs started in this decision.
    pub fn started(&self) -> u32 {
        self.started
    }

    /// Starts a job where the simulation's placement finds room for all of its tasks; false if it does not wait or there
    /// is no such room.
    pub fn start(&mut self, job: JobId) -> bool {
        if self.world().state(job).phase != Phase::Pending {
            return false;
        }
        let core = &mut *self.core;
        let ask = core.ask(job);
        let mut pieces = std::mem::take(&mut core.pieces);
        let found = core
            .world
            .cluster
            .place(core.placement, &ask, &mut core.random, &mut pieces);
        if found {
            core.start(job, &ask, &mut pieces);
            self.started += 1;
        }
        self.core.pieces = pieces;
        found
    }

    /// Starts a job on these nodes.
    ///
    /// # Errors
    /// [`CannotStart`]; nothing was changed.
    pub fn start_on(&mut self, job: JobId, pieces: &[(NodeId, u32)]) -> Result<(), CannotStart> {
        if job.at() >= self.world().states.len() || self.world().state(job).phase != Phase::Pending
        {
            return Err(CannotStart::NotPending);
        }
        let ask = self.core.ask(job);
        let named = pieces.iter().map(|(_, tasks)| u64::from(*tasks)).sum();
        if named != u64::from(ask.tasks) {
            return Err(CannotStart::TaskCount {
                named,
                has: ask.tasks,
            });
        }
        let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
        let mut sorted: Vec<(NodeId, u32)> = pieces
            .iter()
            .copied()
            .filter(|(_, tasks)| *tasks > 0)
            .collect();
        sorted.sort_unstable();
        for (node, tasks) in sorted {
            match merged.last_mut() {
                Some(last) if last.node == node => last.tasks += tasks,
                _ => merged.push(Piece {
                    node,
                    tasks,
                    gpus: 0,
                }),
            }
        }
        let cluster = &self.core.world.cluster;
        for piece in &merged {
            if piece.node.at() >= cluster.len() || cluster.count_on(piece.node, &ask) < piece.tasks
            {
                return Err(CannotStart::NoRoom(*piece));
            }
        }
        self.core.start(job, &ask, &mut merged);
        self.started += 1;
        Ok(())
    }

    /// Whether all of a job's tasks would find room now.
    pub fn would_fit(&mut self, job: JobId) -> bool {
        let ask = self.core.ask(job);
        self.core.would_fit(&ask)
    }

    /// Whether as much is free in all as a job's tasks need in all; false means that they do not fit. O(1).
    pub fn may_fit(&self, job: JobId) -> bool {
        self.core.world.cluster.may_fit(&self.core.ask(job))
    }

    /// What a job asks for, of resources that are counted here.
    pub fn ask(&self, job: JobId) -> Ask {
        self.core.ask(job)
    }

    /// The placement that [`Stage::start`] uses.
    pub fn placement(&self) -> Placement {
        self.core.placement
    }

    /// Has the policy asked again at this time, if nothing else makes it decide before.
    pub fn wake_at(&mut self, time: Time) {
        self.core.wake_at(time);
    }
}
