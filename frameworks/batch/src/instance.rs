//! One instance of a group: its attempts, and which of them counts.
//!
//! ```text
//!            launch            FINISHED (the first of any attempt)
//!  Pending ---------> Live ------------------------------------> Done
//!     ^                |
//!     +----------------+ failed (retries left), lost, or unreachable for too long (abandoned:
//!                        the attempt may come back; then it is killed, or counts if it finishes
//!                        before the next one does)
//! ```
//! Invariants: `BA-1` at most one attempt is final, and it stays so; `BA-2` at most one live attempt
//! is not abandoned, and none once there is a final one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tepui_framework::protocol::{AgentId, Reason, TaskState, TaskStatus, Timestamp};

/// Losses of one instance that are forgiven; what is lost more often fails of its own doing.
const LOSSES_FORGIVEN: u32 = 100;

/// An attempt that may be running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// Where.
    pub(crate) agent: AgentId,
    /// Another attempt was, or is to be, made in its place.
    pub(crate) abandoned: bool,
    /// The latest state heard of.
    #[serde(skip, default = "staging")]
    pub(crate) state: TaskState,
    /// Since when its agent is unreachable.
    #[serde(skip)]
    pub(crate) unreachable: Option<Timestamp>,
}

fn staging() -> TaskState {
    TaskState::Staging
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// To be launched.
    Pending,
    /// Launched, not heard of as running.
    Staging,
    /// Running, or unreachable for a while.
    Running,
    /// Finished for good.
    Done,
}

/// What an update means for its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that must be kept.
    Noted,
    /// The attempt runs and nobody wants it: it is to be killed.
    Unwanted,
    /// The attempt's agent is unreachable: to be looked at later.
    Unreachable,
    /// The instance is done, by this attempt.
    Finished,
    /// The attempt has ended and counts for nothing.
    Ended,
    /// The attempt is lost, which is not its fault.
    Lost,
    /// The attempt has failed.
    Failed,
    /// It can never succeed.
    Hopeless,
}

/// One instance of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// Attempts begun; the next one has this number.
    pub(crate) attempts: u32,
    /// Attempts that count against the retries.
    pub(crate) failures: u32,
    /// Attempts lost through no fault of theirs.
    pub(crate) losses: u32,
    /// Attempts that may be running, by number.
    pub(crate) live: BTreeMap<u32, Attempt>,
    /// The attempt that finished.
    pub(crate) done: Option<u32>,
}

impl Instance {
    pub(crate) fn phase(&self) -> Phase {
        if self.done.is_some() {
            return Phase::Done;
        }
        match self.current() {
            None => Phase::Pending,
            Some((_, attempt)) if attempt.state == TaskState::Staging => Phase::Staging,
            Some(_) => Phase::Running,
        }
    }

    /// The attempt that is counted on.
    pub(crate) fn current(&self) -> Option<(u32, &Attempt)> {
        let counted = self.live.iter().find(|(_, attempt)| !attempt.abandoned);
        counted.map(|(number, attempt)| (*number, attempt))
    }

    /// Begins an attempt and gives its number.
    pub(crate) fn launch(&mut self, agent: AgentId) -> u32 {
        debug_assert!(self.phase() == Phase::Pending, "BA-2: {self:?}");
        let number = self.attempts;
        self.attempts += 1;
        let state = TaskState::Staging;
        let attempt = Attempt {
            agent,
            abandoned: false,
            state,
            unreachable: None,
        };
        self.live.insert(number, attempt);
        number
    }

    /// Takes an update of attempt `number` in.
    pub(crate) fn update(&mut self, number: u32, status: &TaskStatus, now: Timestamp) -> Verdict {
        if number >= self.attempts {
            return Verdict::Noted;
        }
        if status.state == TaskState::Finished {
            return self.finished(number);
        }
        if status.state.is_terminal() || status.state == TaskState::Unknown {
            return self.ended(number, status);
        }
        let Some(attempt) = self.live.get_mut(&number) else {
            return Verdict::Unwanted;
        };
        if status.state == TaskState::Unreachable {
            attempt.unreachable.get_or_insert(now);
            return if attempt.abandoned {
                Verdict::Noted
            } else {
                Verdict::Unreachable
            };
        }
        attempt.unreachable = None;
        attempt.state = status.state;
        if attempt.abandoned {
            Verdict::Unwanted
        } else {
            Verdict::Noted
        }
    }

    fn finished(&mut self, number: u32) -> Verdict {
        let was_live = self.live.remove(&number).is_some();
        if self.done.is_some() {
            return if was_live {
                Verdict::Ended
            } else {
                Verdict::Noted
            };
        }
        self.done = Some(number);
        // `BA-2`: whoever else is at it works for nothing.
        self.live
            .values_mut()
            .for_each(|attempt| attempt.abandoned = true);
        Verdict::Finished
    }

    fn ended(&mut self, number: u32, status: &TaskStatus) -> Verdict {
        let Some(attempt) = self.live.remove(&number) else {
            return Verdict::Noted;
        };
        if attempt.abandoned {
            return Verdict::Ended;
        }
        if status.state == TaskState::Error {
            self.failures += 1;
            return Verdict::Hopeless;
        }
        if is_clusters_fault(status) && self.losses < LOSSES_FORGIVEN {
            self.losses += 1;
            return Verdict::Lost;
        }
        self.failures += 1;
        Verdict::Failed
    }

    /// Gives the current attempt up if its agent has been unreachable since `limit` or longer.
    pub(crate) fn abandon_if_unreachable(&mut self, limit: Timestamp) -> bool {
        let Some(number) = self.current().map(|(number, _)| number) else {
            return false;
        };
        let Some(attempt) = self.live.get_mut(&number) else {
            return false;
        };
        if attempt.unreachable.is_none_or(|since| since > limit) {
            return false;
        }
        attempt.abandoned = true;
        self.losses += 1;
        true
    }
}

/// Whether an attempt ended for reasons that lie outside of it.
pub(crate) fn is_clusters_fault(status: &TaskStatus) -> bool {
    use Reason::*;
    let by_reason = matches!(
        status.reason,
        Some(
            ExecutorTerminated
                | ExecutorUnregistered
                | ExecutorRegistrationTimeout
                | ExecutorReregistrationTimeout
                | AgentDisconnected
                | AgentRemoved
                | AgentRestarted
                | AgentUnknown
                | AgentDraining
                | AgentRemovedByOperator
                | ContainerPreempted
                | MasterDisconnected
                | InvalidOffers
        )
    );
    match status.state {
        TaskState::Failed | TaskState::Killed => by_reason,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use tepui_framework::protocol::{Source, TaskId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn agent() -> AgentId {
        AgentId::new("a").unwrap()
    }

    fn status(state: TaskState) -> TaskStatus {
        TaskStatus::new(TaskId::new("t").unwrap(), state, Source::Agent, NOW)
    }

    fn launched() -> Instance {
        let mut instance = Instance::default();
        assert_eq!(instance.launch(agent()), 0);
        instance
    }

    #[test]
    fn losses_do_not_count_and_failures_do() {
        use TaskState::*;
        for (state, verdict) in [
            (Lost, Verdict::Lost),
            (Dropped, Verdict::Lost),
            (Gone, Verdict::Lost),
            (GoneByOperator, Verdict::Lost),
            (Unknown, Verdict::Lost),
            (Failed, Verdict::Failed),
            (Killed, Verdict::Failed),
            (Error, Verdict::Hopeless),
            (Finished, Verdict::Finished),
        ] {
            assert_eq!(
                launched().update(0, &status(state), NOW),
                verdict,
                "{state}"
            );
        }
        let drained = status(Killed).because(Reason::AgentDraining, "");
        assert_eq!(launched().update(0, &drained, NOW), Verdict::Lost);
        // Most often a URI or an image that is not there, on no agent.
        let by_launch = status(Failed).because(Reason::ContainerLaunchFailed, "");
        assert_eq!(launched().update(0, &by_launch, NOW), Verdict::Failed);
        let by_command = status(Failed).because(Reason::CommandExecutorFailed, "");
        assert_eq!(launched().update(0, &by_command, NOW), Verdict::Failed);
    }

    #[test]
    fn what_is_lost_all_the_time_fails_in_the_end() {
        let mut instance = Instance::default();
        for number in 0..LOSSES_FORGIVEN {
            instance.launch(agent());
            assert_eq!(
                instance.update(number, &status(TaskState::Gone), NOW),
                Verdict::Lost
            );
        }
        let last = instance.launch(agent());
        assert_eq!(
            instance.update(last, &status(TaskState::Gone), NOW),
            Verdict::Failed
        );
    }

    #[test]
    fn an_unreachable_attempt_is_abandoned_after_a_while_and_killed_when_it_is_back() {
        let mut instance = launched();
        assert_eq!(
            instance.update(0, &status(TaskState::Running), NOW),
            Verdict::Noted
        );
        let gone = instance.update(0, &status(TaskState::Unreachable), NOW);
        assert_eq!(gone, Verdict::Unreachable);
        assert!(!instance.abandon_if_unreachable(Timestamp::from_secs(99)));
        assert!(instance.abandon_if_unreachable(NOW));
        assert_eq!(instance.phase(), Phase::Pending);
        assert_eq!(instance.launch(agent()), 1);
        assert_eq!(
            instance.update(0, &status(TaskState::Running), NOW),
            Verdict::Unwanted
        );
        assert_eq!(
            instance.update(0, &status(TaskState::Killed), NOW),
            Verdict::Ended
        );
        assert_eq!(
            instance.update(1, &status(TaskState::Finished), NOW),
            Verdict::Finished
        );
        assert_eq!(instance.done, Some(1));
    }

    #[test]
    fn an_attempt_that_is_back_in_time_goes_on() {
        let mut instance = launched();
        instance.update(0, &status(TaskState::Unreachable), NOW);
        instance.update(0, &status(TaskState::Running), NOW);
        assert!(!instance.abandon_if_unreachable(NOW));
        assert_eq!(instance.phase(), Phase::Running);
    }

    #[test]
    fn the_first_attempt_to_finish_is_final() {
        let mut instance = launched();
        instance.update(0, &status(TaskState::Unreachable), NOW);
        instance.abandon_if_unreachable(NOW);
        instance.launch(agent());
        assert_eq!(
            instance.update(0, &status(TaskState::Finished), NOW),
            Verdict::Finished
        );
        assert!(instance.live[&1].abandoned, "the second works for nothing");
        assert_eq!(
            instance.update(1, &status(TaskState::Running), NOW),
            Verdict::Unwanted
        );
        assert_eq!(
            instance.update(1, &status(TaskState::Finished), NOW),
            Verdict::Ended
        );
        assert_eq!(instance.done, Some(0));
    }

    #[test]
    fn updates_of_attempts_never_made_mean_nothing() {
        let mut instance = launched();
        assert_eq!(
            instance.update(1, &status(TaskState::Finished), NOW),
            Verdict::Noted
        );
        assert_eq!(instance.done, None);
    }
}
