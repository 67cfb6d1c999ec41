//! The driver of an executor: pure.
//!
//! ```text
//!  Connecting --Registered--> Connected --Exited, Reconnect--> Connecting
//!      | recovery time-out                   | Shutdown, exit
//!      v                                     v
//!    Stop                                 leaving --all ended and acknowledged, or 5 s--> Stop
//! ```
//! An update is kept until acknowledged: it travels when it is made, with every registration, and
//! again from time to time.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tepui_protocol::{
    Source, TaskId, TaskInfo, TaskStatus, Timestamp,
    messages::{
        environment::ExecutorPlace,
        executor::{Acknowledged, Kill, Launch, Reconnect, Register, Registered, Update},
    },
};
use tepui_runtime::AnyPid;

use super::{Executor, Report, Reporter, Request, Work};

const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// An update that is not acknowledged is sent again after this time.
const RESEND: Duration = Duration::from_secs(10);
/// How long tasks may take to end when the executor must.
const GRACE: Duration = Duration::from_secs(5);
/// How long the first registration may take where the executor is not to outlive its agent.
const FIRST_REGISTRATION: Duration = Duration::from_secs(60);

/// One effect.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    Register(AnyPid, Register),
    Update(AnyPid, Update),
    Monitor(AnyPid),
    Timer { after: Duration, timer: Timer },
    Stop,
}

/// Why the driver wants to be called back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Register once more, if no other attempt was made meanwhile.
    Register {
        attempt: u32,
    },
    /// The agent has been away for too long, if it was not back meanwhile.
    Recovery {
        loss: u32,
    },
    Resend,
    Grace,
    /// The executor's own.
    Executor {
        token: u64,
    },
}

pub(super) struct State {
    executor: Box<dyn Executor>,
    me: AnyPid,
    place: ExecutorPlace,
    agent: AnyPid,
    connected: bool,
    /// Registrations sent.
    attempts: u32,
    /// Those of them since the agent was lost.
    tries: u32,
    losses: u32,
    /// Tasks that have not ended.
    tasks: BTreeMap<TaskId, TaskInfo>,
    /// Updates that are not acknowledged, oldest first.
    open: Vec<TaskStatus>,
    leaving: bool,
    rng: StdRng,
}

impl State {
    pub(super) fn new(
        executor: Box<dyn Executor>,
        me: AnyPid,
        place: ExecutorPlace,
        seed: u64,
    ) -> Self {
        Self {
            executor,
            me,
            agent: place.agent.clone(),
            place,
            connected: false,
            attempts: 0,
            tries: 0,
            losses: 0,
            tasks: BTreeMap::new(),
            open: Vec::new(),
            leaving: false,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn start(&mut self, now: Timestamp, reporter: Reporter, out: &mut Vec<Effect>) {
        self.call(now, out, |executor, work| executor.started(work, reporter));
        self.register(out);
        self.wait_for_recovery(out);
        out.push(Effect::Timer {
            after: RESEND,
            timer: Timer::Resend,
        });
    }

    pub(super) fn on_registered(&mut self, now: Timestamp, msg: Registered, out: &mut Vec<Effect>) {
        self.place.agent_id = msg.agent_id;
        self.tries = 0;
        if !std::mem::replace(&mut self.connected, true) {
            out.push(Effect::Monitor(self.agent.clone()));
            self.send_open(out);
            let agent = self.place.agent_id.clone();
            self.call(now, out, |executor, work| executor.registered(work, &agent));
        }
    }

    /// The agent has restarted, perhaps at another address.
    pub(super) fn on_reconnect(&mut self, now: Timestamp, msg: Reconnect, out: &mut Vec<Effect>) {
        self.agent = msg.agent;
        self.place.agent_id = msg.agent_id;
        if self.connected {
            self.lost(now, out);
        }
        self.register(out);
    }

    pub(super) fn on_exited(&mut self, now: Timestamp, pid: &AnyPid, out: &mut Vec<Effect>) {
        if !self.connected || pid.any_incarnation() != self.agent.any_incarnation() {
            return;
        }
        // Whoever comes next at that address is the agent's next life.
        self.agent = self.agent.any_incarnation();
        self.lost(now, out);
        if self.place.recovery_timeout.is_zero() {
            return self.leave(now, out);
        }
        let timer = Timer::Register {
            attempt: self.attempts,
        };
        out.push(Effect::Timer {
            after: BACKOFF_FIRST,
            timer,
        });
    }

    pub(super) fn on_launch(&mut self, now: Timestamp, msg: Launch, out: &mut Vec<Effect>) {
        let Launch { task, gpus } = msg;
        let known = self.tasks.contains_key(&task.id) || self.is_open(&task.id);
        if !known && !self.leaving {
            self.tasks.insert(task.id.clone(), task.clone());
            self.call(now, out, |executor, work| {
                work.gpus = gpus;
                executor.launch(work, task);
            });
        }
    }

    pub(super) fn on_kill(&mut self, now: Timestamp, msg: &Kill, out: &mut Vec<Effect>) {
        if let Some(task) = self.tasks.get(&msg.task_id) {
            let policy = msg.kill_policy.unwrap_or(task.kill_policy);
            self.call(now, out, |executor, work| {
                executor.kill(work, &msg.task_id, policy)
            });
        }
    }

    pub(super) fn on_acknowledged(&mut self, msg: &Acknowledged, out: &mut Vec<Effect>) {
        self.open.retain(|status| status.uuid != Some(msg.uuid));
        self.stop_if_over(out);
    }

    pub(super) fn on_shutdown(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.leave(now, out);
    }

    pub(super) fn on_report(&mut self, now: Timestamp, report: Report, out: &mut Vec<Effect>) {
        self.report(now, report, out);
        self.stop_if_over(out);
    }

    pub(super) fn on_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Register { attempt } if !self.connected && attempt == self.attempts => {
                self.register(out);
            }
            Timer::Recovery { loss } if !self.connected && loss == self.losses => {
                self.leave(now, out);
            }
            Timer::Register { .. } | Timer::Recovery { .. } => {}
            Timer::Resend => {
                if self.connected {
                    self.send_open(out);
                }
                out.push(Effect::Timer {
                    after: RESEND,
                    timer,
                });
            }
            Timer::Grace => out.push(Effect::Stop),
            Timer::Executor { token } => {
                self.call(now, out, |executor, work| executor.timer(work, token));
            }
        }
    }

    fn register(&mut self, out: &mut Vec<Effect>) {
        self.attempts += 1;
        let after = BACKOFF_FIRST
            .saturating_mul(1 << self.tries.min(16))
            .min(BACKOFF_MAX);
        self.tries = self.tries.saturating_add(1);
        let register = Register {
            pid: self.me.clone(),
            framework_id: self.place.framework_id.clone(),
            executor_id: self.place.executor_id.clone(),
            run: self.place.run.clone(),
            tasks: self.tasks.values().cloned().collect(),
            unacknowledged: self.open.clone(),
        };
        out.push(Effect::Register(self.agent.clone(), register));
        let timer = Timer::Register {
            attempt: self.attempts,
        };
        out.push(Effect::Timer { after, timer });
    }

    fn wait_for_recovery(&self, out: &mut Vec<Effect>) {
        let patience = self.place.recovery_timeout;
        let after = if patience.is_zero() {
            FIRST_REGISTRATION
        } else {
            patience
        };
        out.push(Effect::Timer {
            after,
            timer: Timer::Recovery { loss: self.losses },
        });
    }

    fn lost(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.connected = false;
        self.losses += 1;
        self.wait_for_recovery(out);
        self.call(now, out, |executor, work| executor.disconnected(work));
    }

    /// Ends all tasks, and then the process.
    fn leave(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        out.push(Effect::Timer {
            after: GRACE,
            timer: Timer::Grace,
        });
        for (id, task) in self.tasks.clone() {
            self.call(now, out, |executor, work| {
                executor.kill(work, &id, task.kill_policy)
            });
        }
        self.call(now, out, |executor, work| executor.shutdown(work));
    }

    fn stop_if_over(&self, out: &mut Vec<Effect>) {
        // Without an agent nobody acknowledges anything.
        let safe = self.open.is_empty() || !self.connected;
        if self.leaving && self.tasks.is_empty() && safe {
            out.push(Effect::Stop);
        }
    }

    fn call(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Effect>,
        callback: impl FnOnce(&mut dyn Executor, &mut Work),
    ) {
        let mut work = Work::at(now);
        callback(self.executor.as_mut(), &mut work);
        for request in work.take() {
            match request {
                Request::Report(report) => self.report(now, report, out),
                Request::After { delay, token } => {
                    out.push(Effect::Timer {
                        after: delay,
                        timer: Timer::Executor { token },
                    });
                }
                Request::Exit => {
                    self.leaving = true;
                    out.push(Effect::Timer {
                        after: GRACE,
                        timer: Timer::Grace,
                    });
                }
            }
        }
        self.stop_if_over(out);
    }

    /// Makes a status of a report, keeps it, and sends it if the agent is there.
    fn report(&mut self, now: Timestamp, report: Report, out: &mut Vec<Effect>) {
        let Report {
            task_id,
            state,
            reason,
            message,
            exit_code,
            data,
        } = report;
        if !self.tasks.contains_key(&task_id) {
            return tracing::warn!(task = %task_id, %state, "report of a task that does not run");
        }
        if state.is_terminal() {
            self.tasks.remove(&task_id);
        }
        let random: u128 = self.rng.random();
        let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        let status = TaskStatus {
            uuid: Some(uuid),
            agent_id: Some(self.place.agent_id.clone()),
            executor_id: Some(self.place.executor_id.clone()),
            reason,
            message,
            exit_code,
            data,
            ..TaskStatus::new(task_id, state, Source::Executor, now)
        };
        self.open.push(status.clone());
        if self.connected {
            out.push(self.update(status));
        }
    }

    fn update(&self, status: TaskStatus) -> Effect {
        let update = Update {
            framework_id: self.place.framework_id.clone(),
            executor_id: self.place.executor_id.clone(),
            status,
        };
        Effect::Update(self.agent.clone(), update)
    }

    fn send_open(&self, out: &mut Vec<Effect>) {
        out.extend(self.open.iter().cloned().map(|status| self.update(status)));
    }

    fn is_open(&self, task: &TaskId) -> bool {
        self.open.iter().any(|status| status.task_id == *task)
    }
}
