//! The subscription: whether there is one, when to try again, and how the scheduler's calls travel.
//!
//! ```text
//!            Subscribed                    Exited, 3 heartbeats missed, NotSubscribed
//!   Apart -------------> Joined ------------------------------------------------> Apart
//!     | ^ Timer::Subscribe (back-off, doubled each time)          master with another id
//!     +-+                                                         counts as lost and back
//! ```
//! Pure: time comes in, [`Effect`]s go out, jitter comes from a seeded generator.

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tepui_protocol::{
    FrameworkId, FrameworkInfo, MasterId, Role, Timestamp,
    messages::scheduler::{
        Accept, AcceptInverseOffers, Acknowledge, AcknowledgeOperation, Decline,
        DeclineInverseOffers, Reconcile, ReconcileOperations, Revive, Subscribe, Subscribed,
        Suppress, Teardown,
    },
};
use tepui_runtime::AnyPid;

use super::{
    Timing,
    effect::{Effect, Timer, ToMaster},
    tasks::Tasks,
};
use crate::calls::Call;

/// How long the first answers to a reconciliation may take.
const RECONCILE_FIRST: Duration = Duration::from_secs(1);

/// Where the framework stands with the master.
#[derive(Debug)]
enum Link {
    /// Not subscribed; so many attempts were made since the last subscription.
    Apart { attempts: u32 },
    /// Subscribed.
    Joined {
        master: MasterId,
        heard: Timestamp,
        patience: Duration,
    },
}

/// What a [`Subscribed`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// The first in this life.
    First,
    /// Back after a loss.
    Back,
    /// Another master answers, and the loss of the former went unnoticed.
    Replaced,
    /// The same once more: nothing has changed.
    Repeated,
}

/// The driver's half of the conversation with the master.
#[derive(Debug)]
pub(crate) struct Session {
    me: AnyPid,
    info: FrameworkInfo,
    timing: Timing,
    rng: StdRng,
    link: Link,
    /// Grows with every attempt and every change of `link`; older timers mean nothing.
    epoch: u64,
    monitored: bool,
    welcomed: bool,
    suppressed: BTreeSet<Role>,
    implicit_wanted: bool,
    /// How long to wait for answers before the open questions are asked once more.
    reconcile_wait: Duration,
    pub(super) tasks: Tasks,
}

impl Session {
    pub(super) fn new(me: AnyPid, info: FrameworkInfo, timing: Timing, seed: u64) -> Self {
        Self {
            me,
            info,
            timing,
            rng: StdRng::seed_from_u64(seed),
            link: Link::Apart { attempts: 0 },
            epoch: 0,
            monitored: false,
            welcomed: false,
            suppressed: BTreeSet::new(),
            implicit_wanted: false,
            reconcile_wait: Duration::ZERO,
            tasks: Tasks::default(),
        }
    }

    pub(super) fn framework_id(&self) -> Option<&FrameworkId> {
        self.info.id.as_ref()
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self.link, Link::Joined { .. })
    }

    /// Asks to be subscribed, and sets the timer for asking again.
    pub(super) fn subscribe(&mut self, out: &mut Vec<Effect>) {
        let Link::Apart { attempts } = &mut self.link else {
            return;
        };
        *attempts = attempts.saturating_add(1);
        let attempts = *attempts;
        if !std::mem::replace(&mut self.monitored, true) {
            out.push(Effect::Monitor);
        }
        out.push(Effect::Tell(ToMaster::Subscribe(Subscribe {
            pid: self.me.clone(),
            info: self.info.clone(),
            suppressed_roles: self.suppressed.clone(),
        })));
        self.subscribe_later(attempts, out);
    }

    fn subscribe_later(&mut self, attempts: u32, out: &mut Vec<Effect>) {
        self.epoch += 1;
        let timer = Timer::Subscribe { epoch: self.epoch };
        out.push(Effect::Timer {
            after: self.back_off(attempts),
            timer,
        });
    }

    /// A random time in the upper half of the interval that doubles with each attempt.
    fn back_off(&mut self, attempts: u32) -> Duration {
        let doubled = self
            .timing
            .backoff_first
            .saturating_mul(1 << attempts.min(16));
        let longest = doubled.min(self.timing.backoff_max);
        longest.mul_f64(self.rng.random_range(0.5..1.0))
    }

    /// The master takes the framework.
    pub(super) fn subscribed(
        &mut self,
        now: Timestamp,
        msg: Subscribed,
        out: &mut Vec<Effect>,
    ) -> Welcome {
        let welcome = match &self.link {
            Link::Joined { master, .. } if *master == msg.master_id => Welcome::Repeated,
            Link::Joined { .. } => Welcome::Replaced,
            Link::Apart { .. } if self.welcomed => Welcome::Back,
            Link::Apart { .. } => Welcome::First,
        };
        if welcome == Welcome::Repeated {
            self.heard(now);
            return welcome;
        }
        self.welcomed = true;
        self.info.id = Some(msg.framework_id);
        let patience = msg.heartbeat_interval * self.timing.heartbeats_missed;
        self.link = Link::Joined {
            master: msg.master_id,
            heard: now,
            patience,
        };
        self.epoch += 1;
        let epoch = self.epoch;
        out.push(Effect::Timer {
            after: patience,
            timer: Timer::Liveness { epoch },
        });
        welcome
    }

    /// A sign of life of the master.
    pub(super) fn heard(&mut self, now: Timestamp) {
        if let Link::Joined { heard, .. } = &mut self.link {
            *heard = now;
        }
    }

    /// The master is lost. Tells whether it was there before.
    pub(super) fn lost(&mut self, out: &mut Vec<Effect>) -> bool {
        if !self.is_joined() {
            return false;
        }
        self.link = Link::Apart { attempts: 0 };
        self.subscribe_later(0, out);
        true
    }

    /// The monitor has fired: it must be set again.
    pub(super) fn monitor_fired(&mut self) {
        self.monitored = false;
    }

    pub(super) fn is_current(&self, epoch: u64) -> bool {
        epoch == self.epoch
    }

    /// Whether the master has been silent for too long; if not, sets the timer to look again.
    pub(super) fn is_silent(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let Link::Joined {
            heard, patience, ..
        } = &self.link
        else {
            return false;
        };
        let silence = now.since(*heard);
        if silence >= *patience {
            return true;
        }
        let timer = Timer::Liveness { epoch: self.epoch };
        out.push(Effect::Timer {
            after: *patience - silence,
            timer,
        });
        false
    }

    /// Begins to ask for all live tasks, after a subscription.
    pub(super) fn reconcile_all(&mut self, out: &mut Vec<Effect>) {
        self.reconcile_wait = Duration::MAX;
        self.reconcile(out);
    }

    /// Asks once more for what was not answered, with growing patience (the agents of a restarted
    /// master may not be back yet), and repeats kills. In the end begins anew with all tasks.
    //= mesos, reconciliation.md: ask for those not answered, with exponential back-off
    pub(super) fn reconcile(&mut self, out: &mut Vec<Effect>) {
        let Some(id) = self.info.id.clone().filter(|_| self.is_joined()) else {
            return;
        };
        if self.reconcile_wait >= self.timing.reconcile_every {
            self.tasks.ask_all();
            self.reconcile_wait = RECONCILE_FIRST;
        }
        if std::mem::take(&mut self.implicit_wanted) {
            let all = Reconcile {
                framework_id: id.clone(),
                tasks: Vec::new(),
            };
            out.push(Effect::Tell(ToMaster::Reconcile(all)));
        }
        let questions = self
            .tasks
            .questions(&id)
            .into_iter()
            .map(ToMaster::Reconcile);
        let kills = self.tasks.kills(&id).into_iter().map(ToMaster::Kill);
        out.extend(questions.chain(kills).map(Effect::Tell));
        let timer = Timer::Reconcile { epoch: self.epoch };
        out.push(Effect::Timer {
            after: self.reconcile_wait,
            timer,
        });
        self.reconcile_wait *= 2;
    }

    /// Ends the framework at the master, if it can be told now.
    pub(super) fn teardown(&self, out: &mut Vec<Effect>) -> bool {
        match &self.info.id {
            None => true,
            Some(id) if self.is_joined() => {
                let teardown = Teardown {
                    framework_id: id.clone(),
                };
                out.push(Effect::Tell(ToMaster::Teardown(teardown)));
                true
            }
            Some(_) => false,
        }
    }

    /// Sends a call for offers or tasks, or does with it what makes sense without a master. Gives
    /// back an accept that nobody can take.
    pub(super) fn carry(&mut self, call: Call, out: &mut Vec<Effect>) -> Option<Call> {
        self.note(&call);
        let Some(id) = self.info.id.clone().filter(|_| self.is_joined()) else {
            return self.without_master(call);
        };
        let message = match call {
            Call::Accept {
                offer_ids,
                operations,
                filters,
            } => ToMaster::Accept(Accept {
                framework_id: id,
                offer_ids,
                operations,
                filters,
            }),
            Call::Decline { offer_ids, filters } => ToMaster::Decline(Decline {
                framework_id: id,
                offer_ids,
                filters,
            }),
            Call::AcceptInverse { offer_ids, filters } => {
                ToMaster::AcceptInverse(AcceptInverseOffers {
                    framework_id: id,
                    inverse_offer_ids: offer_ids,
                    filters,
                })
            }
            Call::DeclineInverse { offer_ids, filters } => {
                ToMaster::DeclineInverse(DeclineInverseOffers {
                    framework_id: id,
                    inverse_offer_ids: offer_ids,
                    filters,
                })
            }
            Call::Revive { roles } => ToMaster::Revive(Revive {
                framework_id: id,
                roles,
            }),
            Call::Suppress { roles } => ToMaster::Suppress(Suppress {
                framework_id: id,
                roles,
            }),
            Call::Kill {
                task_id,
                kill_policy,
            } => ToMaster::Kill(self.tasks.kill(&id, &task_id, kill_policy)),
            Call::Reconcile { tasks } => ToMaster::Reconcile(Reconcile {
                framework_id: id,
                tasks,
            }),
            Call::Acknowledge {
                agent_id,
                task_id,
                uuid,
            } => ToMaster::Acknowledge(Acknowledge {
                framework_id: id,
                agent_id,
                task_id,
                uuid,
            }),
            Call::AcknowledgeOperation { operation_id } => {
                ToMaster::AcknowledgeOperation(AcknowledgeOperation {
                    framework_id: id,
                    operation_id,
                })
            }
            Call::ReconcileOperations { operation_ids } => {
                ToMaster::ReconcileOperations(ReconcileOperations {
                    framework_id: id,
                    operation_ids,
                })
            }
            other => return Some(other),
        };
        out.push(Effect::Tell(message));
        None
    }

    /// Remembers what must outlive the connection.
    fn note(&mut self, call: &Call) {
        match call {
            Call::Revive { roles } if roles.is_empty() => self.suppressed.clear(),
            Call::Revive { roles } => self.suppressed.retain(|role| !roles.contains(role)),
            Call::Suppress { roles } if roles.is_empty() => {
                self.suppressed.clone_from(&self.info.roles);
            }
            Call::Suppress { roles } => self.suppressed.extend(roles.iter().cloned()),
            Call::Reconcile { tasks } => {
                let named = tasks.iter().cloned();
                named.for_each(|(task, agent)| self.tasks.named(task, agent));
            }
            _ => {}
        }
    }

    fn without_master(&mut self, call: Call) -> Option<Call> {
        match call {
            Call::Accept { .. } => Some(call),
            Call::Kill {
                task_id,
                kill_policy,
            } => {
                self.tasks.kill_later(&task_id, kill_policy);
                None
            }
            Call::Reconcile { tasks } => {
                self.implicit_wanted |= tasks.is_empty();
                None
            }
            // Offers died with the connection, an update that is not acknowledged comes again, and
            // suppression travels with the next subscription.
            _ => None,
        }
    }
}
