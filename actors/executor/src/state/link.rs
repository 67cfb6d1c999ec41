//! The executor and its agent: registration, loss, acknowledgements.

use std::time::Duration;

use tepui_protocol::{Timestamp, messages::executor};
use tepui_runtime::AnyPid;

use super::{Executor, Leaving, Link, Phase};
use crate::effects::{Effect, Timer};

impl Executor {
    /// The actor has started: registers.
    pub fn on_start(&mut self, out: &mut Vec<Effect>) {
        self.register(out);
        self.arm_recovery(out);
    }

    /// The agent knows us.
    pub fn on_registered(&mut self, message: executor::Registered, out: &mut Vec<Effect>) {
        self.agent_id = message.agent_id;
        self.tries = 0;
        if self.link == Link::Connecting {
            self.link = Link::Connected;
            out.push(Effect::Monitor(self.agent.clone()));
        }
    }

    /// The agent has restarted, perhaps elsewhere.
    pub fn on_reconnect(&mut self, message: executor::Reconnect, out: &mut Vec<Effect>) {
        self.agent = message.agent;
        self.agent_id = message.agent_id;
        self.close_sessions(out);
        if self.link == Link::Connected {
            self.link = Link::Connecting;
            self.losses += 1;
            self.arm_recovery(out);
        }
        self.register(out);
    }

    /// The agent's actor, or the link to it, is gone.
    pub fn on_agent_exited(&mut self, now: Timestamp, pid: &AnyPid, out: &mut Vec<Effect>) {
        let ours = pid.any_incarnation() == self.agent.any_incarnation();
        if !ours || self.link == Link::Connecting {
            return;
        }
        self.close_sessions(out);
        self.link = Link::Connecting;
        self.losses += 1;
        // Whoever comes next at that address is the agent's next life.
        self.agent = self.agent.any_incarnation();
        if self.config.place.recovery_timeout.is_zero() {
            self.give_up(now, self.losses, out);
            return;
        }
        self.arm_recovery(out);
        let attempt = self.attempts;
        let after = self.config.register_backoff;
        out.push(Effect::Timer {
            after,
            timer: Timer::Register { attempt },
        });
    }

    /// The agent has made an update durable.
    pub fn on_acknowledged(&mut self, message: &executor::Acknowledged, out: &mut Vec<Effect>) {
        let before = self.unacknowledged.len();
        self.unacknowledged
            .retain(|status| status.uuid != Some(message.uuid));
        if self.unacknowledged.len() == before {
            return;
        }
        let waits = self
            .unacknowledged
            .iter()
            .any(|status| status.task_id == message.task_id);
        if !waits
            && self
                .tasks
                .get(&message.task_id)
                .is_some_and(|t| t.phase == Phase::Ended)
        {
            self.tasks.remove(&message.task_id);
        }
        self.stop_if_done(out);
    }

    /// The agent wants us to end.
    pub fn on_shutdown(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.leaving = match (self.link, self.leaving) {
            (Link::Connected, None) => Some(Leaving::Shutdown),
            // An agent that does not know us acknowledges nothing.
            (Link::Connecting, _) => Some(Leaving::Abandoned),
            (Link::Connected, leaving) => leaving,
        };
        self.kill_all(now, out);
        self.stop_if_done(out);
    }

    pub(super) fn register_again(&mut self, attempt: u64, out: &mut Vec<Effect>) {
        if self.link == Link::Connecting && attempt == self.attempts {
            self.register(out);
        }
    }

    /// The agent has not come back in time.
    pub(super) fn give_up(&mut self, now: Timestamp, loss: u64, out: &mut Vec<Effect>) {
        if self.link == Link::Connected || loss != self.losses {
            return;
        }
        self.leaving = Some(Leaving::Abandoned);
        self.kill_all(now, out);
        self.stop_if_done(out);
    }

    fn register(&mut self, out: &mut Vec<Effect>) {
        self.attempts += 1;
        let after = self.backoff();
        self.tries = self.tries.saturating_add(1);
        let place = &self.config.place;
        let register = executor::Register {
            pid: self.pid.clone(),
            framework_id: place.framework_id.clone(),
            executor_id: place.executor_id.clone(),
            run: place.run.clone(),
            tasks: self.tasks.values().map(|task| task.info.clone()).collect(),
            unacknowledged: self.unacknowledged.clone(),
        };
        out.push(Effect::Register(self.agent.clone(), register));
        let timer = Timer::Register {
            attempt: self.attempts,
        };
        out.push(Effect::Timer { after, timer });
    }

    /// Doubles with each attempt since the agent was lost.
    fn backoff(&self) -> Duration {
        let grown = self
            .config
            .register_backoff
            .saturating_mul(1 << self.tries.min(16));
        grown.min(self.config.register_backoff_max)
    }

    fn arm_recovery(&self, out: &mut Vec<Effect>) {
        let (after, loss) = (self.config.place.recovery_timeout, self.losses);
        // Zero: nothing to wait for later, but the first registration needs its time.
        let after = if after.is_zero() {
            Duration::from_secs(60)
        } else {
            after
        };
        out.push(Effect::Timer {
            after,
            timer: Timer::Recovery { loss },
        });
    }
}
