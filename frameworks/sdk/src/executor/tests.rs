//! An executor and a fake agent, on the paused clock.

use std::sync::{Arc, Mutex};

use tepui_protocol::{
    CommandInfo,
    messages::executor::{
        Acknowledged, Kill, Launch, Reconnect, Register, Registered, Shutdown, Update,
    },
};
use tepui_runtime::{
    AnyPid,
    prelude::*,
    testkit::{TestKit, run as run_test},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Runs tasks that end when they are told to, and notes what it hears.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    heard: Vec<String>,
    reporter: Option<Reporter>,
    obstinate: bool,
}

impl Recorder {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().heard.push(what.into());
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }

    fn report(&self, task: &str, state: TaskState) {
        let reporter = self.0.lock().unwrap().reporter.clone().unwrap();
        reporter.report(Report::new(&id(task), state).message("from outside"));
    }
}

impl Executor for Recorder {
    fn started(&mut self, _: &mut Work, reporter: Reporter) {
        self.0.lock().unwrap().reporter = Some(reporter);
    }
    fn registered(&mut self, _: &mut Work, agent: &AgentId) {
        self.note(format!("registered with {agent}"));
    }
    fn disconnected(&mut self, _: &mut Work) {
        self.note("disconnected");
    }
    fn launch(&mut self, work: &mut Work, task: TaskInfo) {
        let uuids: Vec<&str> = work.gpus().iter().map(|gpu| gpu.uuid.as_str()).collect();
        let words = [&["launch", task.id.as_str()], &uuids[..]].concat();
        self.note(words.join(" "));
        work.update(&task.id, TaskState::Running);
    }
    fn kill(&mut self, work: &mut Work, task: &TaskId, policy: KillPolicy) {
        self.note(format!("kill {task} within {:?}", policy.grace_period));
        if !self.0.lock().unwrap().obstinate {
            work.update(task, TaskState::Killed);
        }
    }
    fn shutdown(&mut self, _: &mut Work) {
        self.note("shutdown");
    }
}

/// Notes what executors send; acknowledges if it is to.
#[derive(Clone, Default)]
struct FakeAgent(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    executor: Option<AnyPid>,
    registrations: Vec<Register>,
    updates: Vec<String>,
    deaf: bool,
}

impl Actor for FakeAgent {
    type Context = Context<Self>;
}
accepts!(FakeAgent: Register, Update);

impl FakeAgent {
    fn take<T>(&self, what: impl FnOnce(&mut Seen) -> &mut Vec<T>) -> Vec<T> {
        std::mem::take(what(&mut self.0.lock().unwrap()))
    }
}

impl Handler<Register> for FakeAgent {
    type Result = ();
    fn handle(&mut self, msg: Register, _: &mut Context<Self>) {
        let mut seen = self.0.lock().unwrap();
        msg.pid
            .tell(Registered {
                agent_id: "a".parse().unwrap(),
            })
            .unwrap();
        seen.executor = Some(msg.pid.clone());
        seen.registrations.push(msg);
    }
}

impl Handler<Update> for FakeAgent {
    type Result = ();
    fn handle(&mut self, msg: Update, _: &mut Context<Self>) {
        let mut seen = self.0.lock().unwrap();
        seen.updates
            .push(format!("{} {}", msg.status.task_id, msg.status.state));
        if !seen.deaf {
            let executor = seen.executor.clone().unwrap();
            let uuid = msg.status.uuid.unwrap();
            executor
                .tell(Acknowledged {
                    task_id: msg.status.task_id,
                    uuid,
                })
                .unwrap();
        }
    }
}

fn id(task: &str) -> TaskId {
    TaskId::new(task).unwrap()
}

struct Bench {
    kit: TestKit,
    agent_node: Node,
    agent: FakeAgent,
    executor: Recorder,
    node: Node,
    ended: oneshot::Receiver<()>,
}

impl Bench {
    async fn new(kit: TestKit, recovery: Duration) -> Self {
        let (agent_node, node) = (kit.node("agent").await, kit.node("here").await);
        let (agent, executor) = (FakeAgent::default(), Recorder::default());
        let place = ExecutorPlace {
            agent: agent_node.spawn("agent", agent.clone()).unwrap().any(),
            agent_id: "a".parse().unwrap(),
            framework_id: "f".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            run: "run".to_owned(),
            sandbox: "/".into(),
            recovery_timeout: recovery,
            task_killing: false,
            master: None,
        };
        let (done, ended) = oneshot::channel();
        let actor = ExecutorActor::new(place, Box::new(executor.clone()), done);
        node.spawn("executor", actor).unwrap();
        kit.settle().await;
        Self {
            kit,
            agent_node,
            agent,
            executor,
            node,
            ended,
        }
    }

    async fn tell<M: tepui_runtime::Message>(&self, message: M) {
        let executor = self.node.lookup("executor").unwrap();
        self.agent_node.tell(&executor, message).unwrap();
        self.kit.settle().await;
    }

    async fn launch(&self, task: &str) {
        let command = CommandInfo::shell("unused");
        let resources = "cpus:1".parse().unwrap();
        let agent = "a".parse().unwrap();
        let task = TaskInfo::command(id(task), agent, resources, command);
        let share = |uuid: &str| GpuShare {
            uuid: uuid.to_owned(),
            milli: 500,
        };
        let gpus = task.name.strip_prefix("on-").map(share);
        let gpus = gpus.into_iter().collect();
        self.tell(Launch { task, gpus }).await;
    }

    fn updates(&self) -> Vec<String> {
        self.agent.take(|seen| &mut seen.updates)
    }

    fn has_ended(&mut self) -> bool {
        self.ended.try_recv().is_ok()
    }
}

#[test]
fn tasks_are_launched_once_reported_and_killed() {
    run_test(async |kit| {
        let bench = Bench::new(kit, SECOND).await;
        assert_eq!(bench.executor.heard(), ["registered with a"]);
        bench.launch("t1").await;
        bench.launch("t1").await;
        bench.launch("t2").await;
        assert_eq!(bench.executor.heard(), ["launch t1", "launch t2"]);
        bench.launch("on-GPU-a").await;
        assert_eq!(bench.executor.heard(), ["launch on-GPU-a GPU-a"]);
        assert_eq!(
            bench.updates(),
            [
                "t1 TASK_RUNNING",
                "t2 TASK_RUNNING",
                "on-GPU-a TASK_RUNNING"
            ]
        );
        bench.executor.report("t1", TaskState::Finished);
        bench.executor.report("t1", TaskState::Failed);
        let grace_period = 7 * SECOND;
        let kill_policy = Some(KillPolicy { grace_period });
        bench
            .tell(Kill {
                task_id: id("t2"),
                kill_policy,
            })
            .await;
        bench
            .tell(Kill {
                task_id: id("t1"),
                kill_policy: None,
            })
            .await;
        assert_eq!(bench.executor.heard(), ["kill t2 within 7s"]);
        assert_eq!(
            bench.updates(),
            ["t1 TASK_FINISHED", "t2 TASK_KILLED"],
            "one end each"
        );
    });
}

#[test]
fn updates_are_kept_until_they_are_acknowledged() {
    run_test(async |kit| {
        let bench = Bench::new(kit, SECOND).await;
        bench.agent.0.lock().unwrap().deaf = true;
        bench.launch("t").await;
        assert_eq!(bench.updates(), ["t TASK_RUNNING"]);
        bench.kit.advance(11 * SECOND).await;
        assert_eq!(bench.updates(), ["t TASK_RUNNING"], "sent once more");
        bench.agent.0.lock().unwrap().deaf = false;
        bench.kit.advance(10 * SECOND).await;
        assert_eq!(bench.updates(), ["t TASK_RUNNING"]);
        bench.kit.advance(30 * SECOND).await;
        assert_eq!(bench.updates(), [""; 0], "acknowledged");
    });
}

#[test]
fn an_agent_that_restarts_finds_tasks_and_updates() {
    run_test(async |kit| {
        let bench = Bench::new(kit, 60 * SECOND).await;
        bench.launch("t").await;
        bench
            .agent_node
            .kill(&bench.agent_node.lookup("agent").unwrap());
        bench.kit.advance(SECOND).await;
        bench.executor.report("t", TaskState::Finished);
        bench.kit.advance(20 * SECOND).await;
        bench.agent.take(|seen| &mut seen.registrations);
        let agent = bench
            .agent_node
            .spawn("agent", bench.agent.clone())
            .unwrap()
            .any();
        bench.updates();
        bench
            .tell(Reconnect {
                agent,
                agent_id: "a".parse().unwrap(),
            })
            .await;
        let registrations = bench.agent.take(|seen| &mut seen.registrations);
        let register = &registrations[0];
        assert_eq!(
            (register.tasks.len(), register.unacknowledged.len()),
            (0, 1)
        );
        assert_eq!(bench.updates(), ["t TASK_FINISHED"]);
        let heard = bench.executor.heard();
        assert_eq!(heard[2..], ["disconnected", "registered with a"]);
    });
}

#[test]
fn without_its_agent_it_ends_after_the_recovery_timeout() {
    run_test(async |kit| {
        let mut bench = Bench::new(kit, 30 * SECOND).await;
        bench.launch("t").await;
        bench
            .agent_node
            .kill(&bench.agent_node.lookup("agent").unwrap());
        bench.kit.advance(29 * SECOND).await;
        assert!(!bench.has_ended());
        bench.kit.advance(2 * SECOND).await;
        assert!(bench.has_ended());
        let heard = bench.executor.heard();
        assert_eq!(heard[2..], ["disconnected", "kill t within 3s", "shutdown"]);
    });
}

#[test]
fn a_shutdown_ends_all_tasks_and_waits_for_them_for_a_while() {
    run_test(async |kit| {
        let mut bench = Bench::new(kit, SECOND).await;
        bench.launch("t").await;
        bench.tell(Shutdown {}).await;
        assert!(bench.has_ended());
        assert_eq!(bench.updates().last().unwrap(), "t TASK_KILLED");
    });
    run_test(async |kit| {
        let mut bench = Bench::new(kit, SECOND).await;
        bench.executor.0.lock().unwrap().obstinate = true;
        bench.launch("t").await;
        bench.tell(Shutdown {}).await;
        assert!(!bench.has_ended());
        bench.kit.advance(5 * SECOND).await;
        assert!(bench.has_ended());
    });
}

#[test]
fn a_process_that_no_agent_started_is_told_so() {
    let error = ExecutorPlace::from_variables(|_| None);
    let error = ExecutorError::from(error.unwrap_err()).to_string();
    assert!(
        error.contains("executors are started by an agent"),
        "{error}"
    );
}
