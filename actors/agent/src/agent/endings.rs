//! Ends: of a framework on this agent, and of the agent itself.

use tepui_protocol::{
    FrameworkId, Reason, TaskState,
    messages::agent::{self, ShutdownFramework, Unregister},
};
use tepui_store::Write;

use super::{Agent, Out, Phase, Stopping, Verdict};
use crate::{
    effects::{Effect, Stop, Timer, ToMaster},
    records,
};

impl Agent {
    /// The framework is over: ends its executors and forgets it.
    pub fn on_shutdown_framework(&mut self, message: &ShutdownFramework, out: &mut Out) {
        let id = &message.framework_id;
        match self.frameworks.get_mut(id) {
            Some(framework) => {
                framework.removing = true;
                self.end_executors_of(id, &framework_over(), out);
                self.forget_framework_if_idle(id, out);
            }
            // Of tasks that never were here, updates may wait for an acknowledgement.
            None => self.forget_streams(id, out),
        }
        self.stop_if_drained(out);
        self.check();
    }

    /// The master does not want this agent: everything ends, and the agent with it. It keeps no
    /// id, so that its next start is that of a new agent.
    pub fn on_shutdown(&mut self, message: agent::Shutdown, out: &mut Out) {
        self.phase = Phase::Stopping;
        self.stopping = Some(Stopping {
            stop: Stop::Refused(message.message),
            patient: false,
        });
        self.kill_all(out);
        self.stop_if_drained(out);
        self.check();
    }

    /// The operator stops the agent. Its tasks run on, or are killed first.
    pub fn on_stop(&mut self, kill_tasks: bool, out: &mut Out) {
        if self.phase == Phase::Stopping {
            return;
        }
        if !kill_tasks {
            self.phase = Phase::Stopped;
            return out.push(Effect::Stop(Stop::Asked));
        }
        self.phase = Phase::Stopping;
        self.stopping = Some(Stopping {
            stop: Stop::Asked,
            patient: true,
        });
        let ids: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for id in ids {
            self.end_executors_of(&id, &agent_over(), out);
        }
        let after = self.config.executor_shutdown_grace + self.config.stop_grace;
        out.push(Effect::Timer {
            after,
            timer: Timer::StopGrace,
        });
        self.stop_if_drained(out);
        self.check();
    }

    /// Whether the agent has ended; it must not be given messages any more.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// The time for a patient stop is over: waits only until nothing runs any more.
    pub(super) fn stop_impatiently(&mut self, out: &mut Out) {
        if let Some(stopping) = &mut self.stopping {
            stopping.patient = false;
            self.kill_all(out);
            self.stop_if_drained(out);
        }
    }

    fn kill_all(&mut self, out: &mut Out) {
        for run in self.runs() {
            self.kill_run(&run, out);
        }
    }

    /// While stopping: leaves when no executor runs, and every update is acknowledged or need not be.
    pub(super) fn stop_if_drained(&mut self, out: &mut Out) {
        let Some(stopping) = &self.stopping else {
            return;
        };
        let drained = self.streams.is_empty() || !stopping.patient;
        if self.phase != Phase::Stopping || !self.runs().is_empty() || !drained {
            return;
        }
        let stop = stopping.stop.clone();
        if let (Stop::Asked, Some(agent_id)) = (&stop, self.info.id.clone()) {
            out.push(Effect::Master(ToMaster::Unregister(Unregister {
                agent_id,
            })));
        }
        self.forget_everything(out);
        self.phase = Phase::Stopped;
        out.push(Effect::Stop(stop));
    }

    fn end_executors_of(&mut self, id: &FrameworkId, verdict: &Verdict, out: &mut Out) {
        let runs = self
            .runs()
            .into_iter()
            .filter(|run| run.framework_id == *id);
        for run in runs.collect::<Vec<_>>() {
            self.end_executor(&run, verdict.clone(), out);
        }
    }

    /// Forgets a framework that has nothing here any more; of one that is shut down, also what was
    /// not acknowledged.
    pub(super) fn forget_framework_if_idle(&mut self, id: &FrameworkId, out: &mut Out) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let idle = framework.tasks.is_empty() || framework.removing;
        if !framework.executors.is_empty() || !idle {
            return;
        }
        let removing = framework.removing;
        if framework.info.checkpoint {
            let tasks = framework
                .tasks
                .keys()
                .map(|task_id| records::task_key(id, task_id));
            let keys = tasks.chain([records::framework_key(id)]);
            out.extend(keys.map(|key| Effect::Write(Write::delete(key))));
        }
        self.frameworks.remove(id);
        if removing {
            self.forget_streams(id, out);
        }
    }

    fn forget_streams(&mut self, id: &FrameworkId, out: &mut Out) {
        self.streams.retain(|(framework_id, task_id), _| {
            let ours = framework_id == id;
            if ours {
                out.push(Effect::Write(Write::delete(records::stream_key(
                    id, task_id,
                ))));
            }
            !ours
        });
    }

    fn forget_everything(&self, out: &mut Out) {
        let mut keys = vec![records::AGENT.to_owned()];
        for (id, framework) in &self.frameworks {
            keys.push(records::framework_key(id));
            keys.extend(
                framework
                    .tasks
                    .keys()
                    .map(|task_id| records::task_key(id, task_id)),
            );
            keys.extend(
                framework
                    .executors
                    .keys()
                    .map(|e| records::executor_key(id, e)),
            );
        }
        keys.extend(
            self.streams
                .keys()
                .map(|(id, task_id)| records::stream_key(id, task_id)),
        );
        out.extend(
            keys.into_iter()
                .map(|key| Effect::Write(Write::delete(key))),
        );
    }
}

fn framework_over() -> Verdict {
    Verdict {
        state: TaskState::Killed,
        reason: Reason::FrameworkRemoved,
        message: "the framework was shut down".to_owned(),
    }
}

fn agent_over() -> Verdict {
    Verdict {
        state: TaskState::Killed,
        reason: Reason::AgentRemovedByOperator,
        message: "the agent was stopped".to_owned(),
    }
}
