//! What a policy acts through: starting jobs, with the built-in placement or with its own.

use crate::{
    amounts::{Amounts, LANES},
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
}

/// Room that is set aside: no start finds it until it is given back.
#[derive(Clone, Debug)]
pub struct Withheld {
    ask: Ask,
    pieces: Vec<Piece>,
}

impl Withheld {
    /// The node of the first task.
    pub fn node(&self) -> NodeId {
        self.pieces.first().map_or(NodeId(0), |piece| piece.node)
    }
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
    pub fn started(&self) -> &[JobId] {
        &self.core.started_now
    }

    /// Starts a job where the simulation's placement finds room for all of its tasks; false if it does not wait or there
    /// is no such room.
    pub fn start(&mut self, job: JobId) -> bool {
        self.start_by(self.core.placement, job)
    }

    /// The same with a placement of one's own.
    pub fn start_by(&mut self, placement: Placement, job: JobId) -> bool {
        if self.world().state(job).phase != Phase::Pending {
            return false;
        }
        let core = &mut *self.core;
        let ask = core.ask(job);
        let mut pieces = std::mem::take(&mut core.pieces);
        let found = core
            .world
            .cluster
            .place(placement, &ask, &mut core.random, &mut pieces);
        if found {
            core.start(job, &ask, &mut pieces);
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
        Ok(())
    }

    /// Kills a running job, the whole gang: it loses its work and waits again in front of the queue. False if it does not run.
    ///
    /// The policy is not told: it knows. To what it is made of it should tell [`Event::Ended`] and [`Event::Submitted`].
    ///
    /// [`Event::Ended`]: crate::Event::Ended
    /// [`Event::Submitted`]: crate::Event::Submitted
    pub fn revoke(&mut self, job: JobId) -> bool {
        let runs = self.world().state(job).phase == Phase::Running;
        if runs {
            self.core.revoke(job);
        }
        runs
    }

    /// Rejects a waiting job for good, with a reason. False if it does not wait.
    pub fn turn_away(&mut self, job: JobId, why: String) -> bool {
        let waits = self.world().state(job).phase == Phase::Pending;
        if waits {
            self.core.turn_away(job, why);
        }
        waits
    }

    /// What a role holds, by lane.
    pub fn held(&self, role: u32) -> [u64; LANES] {
        self.core.meter.held(role)
    }

    /// The hungry roles (jobs of theirs wait), the least weighted dominant share first.
    pub fn hungry(&self) -> impl Iterator<Item = u32> {
        self.core.meter.hungry()
    }

    /// The weights of all roles that hold something or are hungry, added up.
    pub fn active_weight(&self) -> f64 {
        self.core.meter.active_weight()
    }

    /// Whether all of `jobs`, which wait, would find room together if `without`, which run, had ended.
    pub fn would_fit_without(&self, without: &[JobId], jobs: &[JobId]) -> bool {
        let world = self.world();
        let mut draft = world.cluster.draft();
        for &job in without {
            draft.release(&self.core.ask(job), world.pieces(job));
        }
        let (mut unused, mut pieces) = (Random::new(0, 0), Vec::new());
        jobs.iter().all(|&job| {
            let ask = self.core.ask(job);
            let fits = draft.place(Placement::FirstFit, &ask, &mut unused, &mut pieces);
            if fits {
                draft.claim(&ask, &mut pieces);
            }
            fits
        })
    }

    /// Sets room for one task aside on a node; none if there is too little.
    pub fn withhold_on(&mut self, node: NodeId, demand: Amounts) -> Option<Withheld> {
        let ask = Ask {
            demand,
            tasks: 1,
            models: 0,
        };
        let cluster = &mut self.core.world.cluster;
        if node.at() >= cluster.len() || !cluster.is_up(node) || !cluster.fits_on(node, &ask) {
            return None;
        }
        let mut pieces = vec![Piece {
            node,
            tasks: 1,
            gpus: 0,
        }];
        cluster.withhold(&ask, &mut pieces);
        Some(Withheld { ask, pieces })
    }

    /// Gives back what was set aside.
    pub fn give_back(&mut self, withheld: &Withheld) {
        self.core
            .world
            .cluster
            .give_back(&withheld.ask, &withheld.pieces);
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
