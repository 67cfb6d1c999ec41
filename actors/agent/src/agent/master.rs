//! The agent and its master: registration with back-off, pings, loss.

use std::time::Duration;

use rand::RngExt;
use tepui_protocol::{
    FrameworkId, Reason, TaskState, TaskStatus, Timestamp,
    messages::agent::{self, Registered, Reregistered},
    task::Task,
};
use tepui_runtime::AnyPid;
use tepui_store::codec;

use super::{Agent, Framework, Out, Phase};
use crate::{
    effects::{Effect, Timer, ToMaster},
    records::{self, AgentRecord},
};

/// Where the agent stands with its master.
#[derive(Clone, Debug)]
pub(super) struct MasterLink {
    pid: AnyPid,
    connected: bool,
    /// Registrations sent, ever.
    attempts: u64,
    /// Those of them since the connection was lost.
    tries: u32,
    /// Connections made, ever.
    connections: u64,
    last_ping: Timestamp,
}

impl MasterLink {
    pub(super) fn new(pid: AnyPid) -> Self {
        let last_ping = Timestamp::default();
        Self {
            pid,
            connected: false,
            attempts: 0,
            tries: 0,
            connections: 0,
            last_ping,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn pid(&self) -> &AnyPid {
        &self.pid
    }

    /// Whether `pid` is the master's, in whatever life.
    pub(super) fn is(&self, pid: &AnyPid) -> bool {
        pid.any_incarnation() == self.pid.any_incarnation()
    }
}

impl Agent {
    /// Where messages to the master go.
    pub fn master_pid(&self) -> &AnyPid {
        self.master.pid()
    }

    /// The agent is admitted, for the first time.
    pub fn on_registered(&mut self, now: Timestamp, message: Registered, out: &mut Out) {
        if self
            .info
            .id
            .as_ref()
            .is_some_and(|id| *id != message.agent_id)
        {
            return;
        }
        if self.info.id.is_none() {
            self.info.id = Some(message.agent_id);
            self.persist_agent(out);
        }
        self.connected(now, out);
        self.check();
    }

    /// The agent is back.
    pub fn on_reregistered(&mut self, now: Timestamp, message: Reregistered, out: &mut Out) {
        if self.info.id.as_ref() != Some(&message.agent_id) {
            return;
        }
        self.connected(now, out);
        for (framework_id, task_id) in message.reconcile {
            let known = self.stream(&framework_id, &task_id).is_some()
                || self
                    .frameworks
                    .get(&framework_id)
                    .is_some_and(|f| f.tasks.contains_key(&task_id));
            if !known {
                let state = self.lost_state(&framework_id, TaskState::Dropped);
                let why = (
                    Reason::Reconciliation,
                    "the task never reached its agent".to_owned(),
                );
                self.tell_of(now, (framework_id, task_id), state, why, out);
            }
        }
        self.check();
    }

    /// The master's sign of life.
    pub fn on_ping(&mut self, now: Timestamp, message: &agent::Ping, out: &mut Out) {
        self.master.last_ping = now;
        if let Some(agent_id) = self.info.id.clone() {
            out.push(Effect::Master(ToMaster::Pong(agent::Pong { agent_id })));
        }
        if !message.connected && self.master.connected {
            self.disconnect();
            self.register(out);
        }
        self.check();
    }

    pub(super) fn persist_agent(&self, out: &mut Out) {
        let record = AgentRecord {
            info: self.info.clone(),
            boot_id: self.boot_id.clone(),
        };
        out.push(Effect::Write(codec::put(records::AGENT, &record)));
    }

    fn connected(&mut self, now: Timestamp, out: &mut Out) {
        self.master.tries = 0;
        self.master.last_ping = now;
        if self.master.connected {
            return;
        }
        self.master.connected = true;
        self.master.connections += 1;
        out.push(Effect::Monitor(self.master.pid.clone()));
        let timer = Timer::Silence {
            connection: self.master.connections,
        };
        out.push(Effect::Timer {
            after: self.config.ping_timeout,
            timer,
        });
        self.send_all(out);
    }

    /// The connection is gone; so is what was in flight.
    fn disconnect(&mut self) {
        self.master.connected = false;
        self.streams
            .values_mut()
            .for_each(super::Stream::disconnected);
    }

    pub(super) fn master_lost(&mut self, _now: Timestamp, out: &mut Out) {
        if self.master.connected {
            self.disconnect();
            self.register_later(out);
        }
    }

    pub(super) fn check_silence(&mut self, now: Timestamp, connection: u64, out: &mut Out) {
        if !self.master.connected || connection != self.master.connections {
            return;
        }
        let silent = now.since(self.master.last_ping);
        let limit = self.config.ping_timeout;
        if silent >= limit {
            self.disconnect();
            self.register(out);
        } else {
            out.push(Effect::Timer {
                after: limit - silent,
                timer: Timer::Silence { connection },
            });
        }
    }

    pub(super) fn register_again(&mut self, attempt: u64, out: &mut Out) {
        if !self.master.connected && attempt == self.master.attempts {
            self.register(out);
        }
    }

    /// Sends a registration, and the next one later.
    pub(super) fn register(&mut self, out: &mut Out) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        self.master.attempts += 1;
        self.master.tries = self.master.tries.saturating_add(1);
        out.push(Effect::Master(self.registration()));
        self.register_later(out);
    }

    //= mesos: after a random time in [0, b); b is twice the factor and doubles up to a minute
    fn register_later(&mut self, out: &mut Out) {
        let doublings = self.master.tries.min(16);
        let grown = self
            .config
            .registration_backoff
            .saturating_mul(2 << doublings);
        let bound = grown.min(self.config.registration_backoff_max);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).max(1);
        let after = Duration::from_micros(self.rng.random_range(0..micros));
        let timer = Timer::Register {
            attempt: self.master.attempts,
        };
        out.push(Effect::Timer { after, timer });
    }

    fn registration(&self) -> ToMaster {
        let (pid, info) = (self.own_pid(), self.info.clone());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        if info.id.is_none() {
            return ToMaster::Register(agent::Register { pid, info, version });
        }
        let frameworks = self
            .frameworks
            .values()
            .map(|framework| framework.info.clone());
        let tasks = self
            .frameworks
            .iter()
            .flat_map(|(id, framework)| self.tasks_of(id, framework));
        ToMaster::Reregister(agent::Reregister {
            pid,
            info,
            version,
            frameworks: frameworks.collect(),
            tasks: tasks.collect(),
            updates: self.updates_of_absent_tasks(),
        })
    }

    /// What a scheduler is still to hear of tasks that are not here.
    fn updates_of_absent_tasks(&self) -> Vec<(FrameworkId, TaskStatus)> {
        let is_here = |framework_id, task_id| {
            let framework = self.frameworks.get(framework_id);
            framework.is_some_and(|framework| framework.tasks.contains_key(task_id))
        };
        let streams = self.streams.iter();
        let absent = streams.filter(|((framework_id, task_id), _)| !is_here(framework_id, task_id));
        absent
            .filter_map(|((framework_id, _), stream)| {
                Some((framework_id.clone(), stream.front()?.clone()))
            })
            .collect()
    }

    fn tasks_of(&self, id: &FrameworkId, framework: &Framework) -> Vec<Task> {
        let describe = |(task_id, entry): (&tepui_protocol::TaskId, &super::Entry)| {
            let mut task = Task::staging(entry.info.clone(), id.clone());
            if let Some(stream) = self.stream(id, task_id) {
                task.state = stream.latest_state().unwrap_or(task.state);
                task.status_update_state = stream.told().map(|status| status.state);
                task.status_update_uuid = stream.told().and_then(|status| status.uuid);
                task.statuses = stream.statuses().to_vec();
            }
            task
        };
        framework.tasks.iter().map(describe).collect()
    }
}
