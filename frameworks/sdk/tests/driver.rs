//! The driver actor with the fake master, on the paused clock: what a framework developer relies on.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_framework::{
    Calls, End, FrameworkError, Handle, Kept, Options, Scheduler,
    protocol::{
        CommandInfo, FrameworkId, FrameworkInfo, MasterId, Offer, Role, TaskId, TaskInfo,
        TaskState, TaskStatus, messages::scheduler::Acknowledge,
    },
    run_with,
    store::MemoryStore,
    testkit::{FakeMaster, FromScheduler},
};
use tepui_runtime::{
    Node,
    testkit::{TestKit, run},
};

/// Launches one task per offer, keeps its state, and notes what it hears.
#[derive(Clone, Default)]
struct Recorder {
    heard: Arc<Mutex<Vec<String>>>,
    launched: usize,
    stop_after: Option<&'static str>,
}

impl Recorder {
    fn note(&self, what: impl Into<String>) {
        self.heard.lock().unwrap().push(what.into());
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Scheduler for Recorder {
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        self.launched = kept.len();
        calls.reconcile(
            kept.into_keys()
                .map(|task| (TaskId::new(task).unwrap(), None)),
        );
    }
    fn registered(&mut self, _: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        self.note(format!("registered {framework} with {master}"));
    }
    fn reregistered(&mut self, _: &mut Calls, master: &MasterId) {
        self.note(format!("reregistered with {master}"));
    }
    fn disconnected(&mut self, _: &mut Calls) {
        self.note("disconnected");
    }
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        for offer in offers {
            let name = format!("t{}", self.launched);
            self.launched += 1;
            calls.keep(&name, &"launched");
            let command = CommandInfo::shell("true");
            let (id, agent) = (TaskId::new(name).unwrap(), offer.agent_id.clone());
            let task = TaskInfo::command(id, agent, offer.resources.clone(), command);
            calls.launch(&offer, vec![task]);
        }
    }
    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.note(format!("{} {}", status.task_id, status.state));
        if self.stop_after == Some(status.task_id.as_str()) && status.state.is_terminal() {
            calls.stop(End::Teardown);
        }
    }
    fn error(&mut self, _: &mut Calls, message: &str) {
        self.note(format!("error {message}"));
    }
}

struct Bench {
    kit: TestKit,
    master_node: Node,
    master: FakeMaster,
    node: Node,
    recorder: Recorder,
    store: MemoryStore,
    framework: Handle,
}

impl Bench {
    async fn new(kit: TestKit) -> Self {
        Self::with(kit, Recorder::default()).await
    }

    async fn with(kit: TestKit, recorder: Recorder) -> Self {
        let (master_node, node) = (kit.node("there").await, kit.node("here").await);
        let master = FakeMaster::start(&master_node, "m1");
        let store = MemoryStore::new();
        let framework = start(&node, &master, &recorder, &store);
        kit.settle().await;
        Self {
            kit,
            master_node,
            master,
            node,
            recorder,
            store,
            framework,
        }
    }

    fn acknowledgements(&self) -> usize {
        let record = self.master.record();
        record
            .iter()
            .filter(|call| matches!(call, FromScheduler::Acknowledge(_)))
            .count()
    }
}

fn start(node: &Node, master: &FakeMaster, scheduler: &Recorder, store: &MemoryStore) -> Handle {
    let info = FrameworkInfo::new("recorder", Role::star());
    let options = Options {
        store: Box::new(store.clone()),
        ..Options::default()
    };
    run_with(node, master.pid(), info, scheduler.clone(), options).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn tasks_run_and_updates_are_acknowledged() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        assert_eq!(bench.recorder.heard(), ["registered m1-0000 with m1"]);
        bench.master.offer("a1", "cpus:1;mem:64");
        bench.kit.settle().await;
        assert_eq!(bench.master.launched()[0].id.as_str(), "t0");
        bench.master.update("t0", TaskState::Running);
        bench.master.update("t0", TaskState::Finished);
        bench.kit.settle().await;
        assert_eq!(
            bench.recorder.heard(),
            ["t0 TASK_RUNNING", "t0 TASK_FINISHED"]
        );
        assert_eq!(bench.master.unacknowledged(), 0);
    });
}

#[test]
fn a_lost_acknowledgement_is_made_good_without_a_second_callback() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.offer("a1", "cpus:1");
        bench.kit.settle().await;
        bench.recorder.heard();
        let lost = bench.kit.filter().drop_all::<Acknowledge>();
        bench.master.update("t0", TaskState::Running);
        bench.kit.settle().await;
        assert_eq!(
            (bench.acknowledgements(), bench.master.unacknowledged()),
            (0, 1)
        );
        lost.lift();
        bench.kit.advance(11 * SECOND).await;
        assert_eq!(
            (bench.acknowledgements(), bench.master.unacknowledged()),
            (1, 0)
        );
        assert_eq!(bench.recorder.heard(), ["t0 TASK_RUNNING"]);
    });
}

#[test]
fn a_restarted_master_is_found_again_and_missed_updates_arrive() {
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.master.offer("a1", "cpus:1");
        bench.kit.settle().await;
        bench.recorder.heard();
        bench.master.stop().await;
        bench.kit.settle().await;
        assert_eq!(bench.recorder.heard(), ["disconnected"]);
        bench.master.update("t0", TaskState::Finished);
        bench.kit.advance(20 * SECOND).await;
        bench.master.start_again("m2");
        bench.kit.advance(6 * SECOND).await;
        let heard = bench.recorder.heard();
        assert_eq!(heard[0], "reregistered with m2");
        assert_eq!(
            heard
                .iter()
                .filter(|what| *what == "t0 TASK_FINISHED")
                .count(),
            2,
            "{heard:?}"
        );
        assert_eq!(bench.master.unacknowledged(), 0);
        let id = bench.master.subscribed().unwrap().id.unwrap();
        assert_eq!(id.as_str(), "m1-0000", "the framework keeps its id");
    });
}

#[test]
fn a_silent_master_is_lost_after_three_heartbeats_and_found_when_it_speaks() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.recorder.heard();
        bench.kit.advance(60 * SECOND).await;
        assert_eq!(
            bench.recorder.heard(),
            [""; 0],
            "heartbeats keep the subscription"
        );
        bench.master.fall_silent();
        bench.kit.advance(46 * SECOND).await;
        assert_eq!(bench.recorder.heard(), ["disconnected"]);
        bench.master.speak();
        bench.kit.advance(6 * SECOND).await;
        assert_eq!(bench.recorder.heard(), ["reregistered with m1"]);
    });
}

#[test]
fn a_cut_network_is_survived() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.recorder.heard();
        bench.kit.cut(&bench.node, &bench.master_node);
        bench.kit.advance(60 * SECOND).await;
        assert_eq!(bench.recorder.heard(), ["disconnected"]);
        bench.kit.join(&bench.node, &bench.master_node);
        bench.kit.advance(20 * SECOND).await;
        assert_eq!(bench.recorder.heard(), ["reregistered with m1"]);
    });
}

#[test]
fn a_restarted_framework_takes_its_tasks_over() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.offer("a1", "cpus:1");
        bench.kit.settle().await;
        bench.node.kill(&bench.framework.pid());
        bench.kit.settle().await;
        bench.master.update("t0", TaskState::Finished);
        let next = Recorder::default();
        let framework = start(&bench.node, &bench.master, &next, &bench.store);
        bench.kit.settle().await;
        let heard = next.heard();
        assert_eq!(heard[0], "registered m1-0000 with m1");
        assert!(heard.contains(&"t0 TASK_FINISHED".to_owned()), "{heard:?}");
        bench.master.offer("a1", "cpus:1");
        bench.kit.settle().await;
        assert_eq!(bench.master.launched()[1].id.as_str(), "t1");
        drop(framework);
    });
}

#[test]
fn nothing_is_launched_that_is_not_written() {
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.store.fail("no space left on device");
        bench.master.offer("a1", "cpus:1");
        let error = bench.framework.wait().await.unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
        bench.kit.settle().await;
        assert_eq!(bench.master.launched().len(), 0);
    });
}

#[test]
fn a_framework_ends_by_its_scheduler_by_its_handle_or_by_refusal() {
    run(async |kit| {
        let recorder = Recorder {
            stop_after: Some("t0"),
            ..Recorder::default()
        };
        let mut bench = Bench::with(kit, recorder).await;
        bench.master.offer("a1", "cpus:1");
        bench.kit.settle().await;
        bench.master.update("t0", TaskState::Finished);
        bench.framework.wait().await.unwrap();
        bench.kit.settle().await;
        assert!(bench.master.is_torn_down());
        assert_eq!(bench.master.unacknowledged(), 0);
    });
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.framework.stop(End::Leave);
        bench.framework.wait().await.unwrap();
        bench.kit.settle().await;
        assert!(!bench.master.is_torn_down());
    });
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.master.refuse("replaced by another instance");
        let error = bench.framework.wait().await.unwrap_err();
        assert!(
            matches!(&error, FrameworkError::Refused { message } if message.contains("replaced"))
        );
        assert_eq!(
            bench.recorder.heard().last().unwrap(),
            "error replaced by another instance"
        );
    });
}

#[test]
fn a_scheduler_that_panics_ends_its_framework_with_an_error() {
    struct Panics;
    impl Scheduler for Panics {
        fn offers(&mut self, _: &mut Calls, _: Vec<Offer>) {
            panic!("a bug");
        }
        fn update(&mut self, _: &mut Calls, _: TaskStatus) {}
    }
    run(async |kit| {
        let (there, here) = (kit.node("there").await, kit.node("here").await);
        let master = FakeMaster::start(&there, "m1");
        let info = FrameworkInfo::new("panics", Role::star());
        let mut framework = tepui_framework::run(&here, master.pid(), info, Panics).unwrap();
        kit.settle().await;
        master.offer("a1", "cpus:1");
        assert!(matches!(
            framework.wait().await,
            Err(FrameworkError::DriverEnded)
        ));
    });
}
