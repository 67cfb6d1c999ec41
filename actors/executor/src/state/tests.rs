//! What an executor does, message by message.

use std::time::Duration;

use rand::SeedableRng;
use tepui_isolation::Signal;
use tepui_protocol::{CommandInfo, KillPolicy, Reason, messages::environment::ExecutorPlace};

use super::*;

mod checks;
mod groups;
mod lifecycle;
mod registration;
mod sessions;

/// An executor and everything it has wanted so far.
struct Bench {
    executor: Executor,
    now: Timestamp,
}

fn place() -> ExecutorPlace {
    ExecutorPlace {
        agent: "agent@h:1#a".parse().unwrap(),
        agent_id: "m-S1".parse().unwrap(),
        framework_id: "m-0001".parse().unwrap(),
        executor_id: "e".parse().unwrap(),
        run: "run1".to_owned(),
        sandbox: "/s".into(),
        recovery_timeout: Duration::from_secs(900),
        task_killing: false,
        master: None,
    }
}

fn task(id: &str) -> TaskInfo {
    let resources = "cpus:1;ports:[31000-31001]".parse().unwrap();
    let command = CommandInfo::shell("true");
    TaskInfo::command(
        id.parse().unwrap(),
        "m-S1".parse().unwrap(),
        resources,
        command,
    )
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

impl Bench {
    fn at(place: ExecutorPlace) -> Self {
        let pid = "executor@h:2#1".parse().unwrap();
        let config = ExecutorConfig::new(place);
        let executor = Executor::new(config, pid, StdRng::seed_from_u64(1));
        Self {
            executor,
            now: Timestamp::from_secs(100),
        }
    }

    /// An executor that has registered.
    fn connected() -> Self {
        let mut bench = Self::at(place());
        bench.on(|e, _, out| e.on_start(out));
        bench.register();
        bench
    }

    fn on(
        &mut self,
        event: impl FnOnce(&mut Executor, Timestamp, &mut Vec<Effect>),
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        event(&mut self.executor, self.now, &mut out);
        assert_eq!(self.executor.violated(), None);
        out
    }

    fn register(&mut self) -> Vec<Effect> {
        let message = executor::Registered {
            agent_id: "m-S1".parse().unwrap(),
        };
        self.on(|e, _, out| e.on_registered(message, out))
    }

    fn launch(&mut self, name: &str) -> Vec<Effect> {
        self.on(|e, now, out| e.on_launch(now, task(name), out))
    }

    fn started(&mut self, name: &str) -> Vec<Effect> {
        self.on(|e, now, out| e.on_started(now, &id(name), Ok(None), out))
    }

    fn ended(&mut self, name: &str, ended: tepui_isolation::Ended) -> Vec<Effect> {
        self.on(|e, now, out| e.on_ended(now, &id(name), ended, out))
    }

    fn kill(&mut self, name: &str, kill_policy: Option<KillPolicy>) -> Vec<Effect> {
        let message = executor::Kill {
            task_id: id(name),
            kill_policy,
        };
        self.on(|e, now, out| e.on_kill(now, &message, out))
    }

    fn timer(&mut self, timer: Timer) -> Vec<Effect> {
        self.on(|e, now, out| e.on_timer(now, timer, out))
    }

    fn agent_lost(&mut self) -> Vec<Effect> {
        let pid = "agent@h:1#a".parse().unwrap();
        self.on(|e, now, out| e.on_agent_exited(now, &pid, out))
    }

    /// Acknowledges all updates of a task.
    fn acknowledge(&mut self, name: &str) -> Vec<Effect> {
        let all = self
            .executor
            .unacknowledged
            .iter()
            .filter(|s| s.task_id == id(name));
        let uuids: Vec<_> = all.filter_map(|s| s.uuid).collect();
        let mut out = Vec::new();
        for uuid in uuids {
            let message = executor::Acknowledged {
                task_id: id(name),
                uuid,
            };
            out.extend(self.on(|e, _, out| e.on_acknowledged(&message, out)));
        }
        out
    }
}

/// The statuses that are sent to the agent.
fn updates(effects: &[Effect]) -> Vec<&TaskStatus> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Update(_, update) => Some(&update.status),
            _ => None,
        })
        .collect()
}

fn states(effects: &[Effect]) -> Vec<TaskState> {
    updates(effects)
        .into_iter()
        .map(|status| status.state)
        .collect()
}

fn signals(effects: &[Effect]) -> Vec<Signal> {
    let signal = |effect: &Effect| match effect {
        Effect::Signal(_, signal) => Some(*signal),
        _ => None,
    };
    effects.iter().filter_map(signal).collect()
}

fn timers(effects: &[Effect]) -> Vec<(Duration, &Timer)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Timer { after, timer } => Some((*after, timer)),
            _ => None,
        })
        .collect()
}

fn stops(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Stop { .. }))
}
