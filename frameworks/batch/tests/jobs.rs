//! Jobs run by their actors against the fake master, on the paused clock.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::Duration;

use tepui_batch::{
    GetJob, Group, Job, JobHandle, JobOptions, JobOutcome, JobResult, run_job, start_job,
};
use tepui_framework::{
    protocol::{TaskState, messages::scheduler::Accept},
    store::MemoryStore,
    testkit::{FakeMaster, FromScheduler},
};
use tepui_runtime::{
    Node,
    testkit::{TestKit, run},
};

const SECOND: Duration = Duration::from_secs(1);

fn group(name: &str, count: u32, after: &[&str]) -> Group {
    let resources = "cpus:1;mem:64".parse().unwrap();
    let after = after.iter().map(|name| (*name).to_owned()).collect();
    Group {
        retries: 1,
        after,
        ..Group::new(name, "work {index}", count, resources)
    }
}

fn map_reduce(maps: u32) -> Job {
    let groups = vec![group("map", maps, &[]), group("reduce", 1, &["map"])];
    Job {
        name: "job".to_owned(),
        groups,
    }
}

struct Bench {
    kit: TestKit,
    node: Node,
    master: FakeMaster,
    store: MemoryStore,
}

impl Bench {
    async fn new(kit: TestKit) -> Self {
        let (there, node) = (kit.node("there").await, kit.node("here").await);
        let master = FakeMaster::start(&there, "m1");
        Self {
            kit,
            node,
            master,
            store: MemoryStore::new(),
        }
    }

    fn start(&self, job: Job) -> JobHandle {
        let options = JobOptions {
            store: Box::new(self.store.clone()),
            ..JobOptions::default()
        };
        start_job(&self.node, &self.master.pid(), job, options).unwrap()
    }

    async fn end(&self, handle: &mut JobHandle) -> JobOutcome {
        let outcome = handle.wait().await.unwrap();
        self.kit.settle().await;
        outcome
    }

    fn accepts(&self) -> usize {
        let record = self.master.record();
        record
            .iter()
            .filter(|call| matches!(call, FromScheduler::Accept(Accept { .. })))
            .count()
    }
}

#[test]
fn a_job_runs_to_its_end() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", Some(2 * SECOND));
        bench.master.agent("a2", "cpus:1;mem:256", Some(2 * SECOND));
        let (master, options) = (bench.master.pid(), JobOptions::default());
        let outcome = run_job(&bench.node, &master, map_reduce(6), options)
            .await
            .unwrap();
        bench.kit.settle().await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert_eq!(outcome.tasks["map"].len(), 6);
        assert_eq!(outcome.progress.done_of_total(), (7, 7));
        assert!(bench.master.is_torn_down());
        assert_eq!(bench.master.unacknowledged(), 0);
        let launched = bench.master.launched();
        assert_eq!(launched.last().unwrap().id.as_str(), "job.reduce.0.0");
        assert!(bench.accepts() < 7, "several tasks fit on an offer");
        assert!(
            bench.node.lookup("batch").is_none(),
            "the job's actors are gone"
        );
    });
}

#[test]
fn progress_can_be_asked_from_afar() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", None);
        let mut handle = bench.start(map_reduce(3));
        bench.kit.advance(SECOND).await;
        let asker = bench.kit.node("asker").await;
        let progress = asker.ask(handle.pid(), GetJob {}, SECOND).await.unwrap();
        assert_eq!((progress.job.as_str(), progress.connected), ("job", true));
        let map = &progress.groups[0];
        assert_eq!(
            (map.total, map.pending, map.running, map.done),
            (3, 1, 2, 0)
        );
        assert_eq!(progress, handle.progress());
        handle.cancel();
        let outcome = bench.end(&mut handle).await;
        assert_eq!(outcome.result, JobResult::Cancelled);
        assert!(bench.master.is_torn_down());
    });
}

#[test]
fn a_job_survives_the_death_of_its_process() {
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", Some(3 * SECOND));
        let first = bench.start(map_reduce(4));
        bench.kit.advance(SECOND).await;
        assert_eq!(first.progress().groups[0].running, 2);
        let id = first.progress().framework_id;
        drop(first);
        for actor in ["scheduler", "batch"] {
            bench.node.kill(&bench.node.lookup(actor).unwrap());
        }
        bench.node = bench.kit.node("elsewhere").await;
        bench.kit.advance(5 * SECOND).await;
        let mut second = bench.start(map_reduce(4));
        let outcome = bench.end(&mut second).await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert_eq!(outcome.framework_id, id);
        assert_eq!(bench.master.launched().len(), 5, "nothing ran twice");
    });
}

#[test]
fn a_job_survives_a_restart_of_the_master() {
    run(async |kit| {
        let mut bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", Some(3 * SECOND));
        let mut handle = bench.start(map_reduce(4));
        bench.kit.advance(SECOND).await;
        bench.master.stop().await;
        bench.kit.advance(10 * SECOND).await;
        assert!(!handle.progress().connected);
        bench.master.start_again("m2");
        let outcome = bench.end(&mut handle).await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert_eq!(bench.master.launched().len(), 5, "nothing ran twice");
    });
}

#[test]
fn tasks_of_a_lost_agent_run_elsewhere_and_are_killed_when_it_is_back() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", None);
        let mut handle = bench.start(map_reduce(2));
        bench.kit.advance(SECOND).await;
        bench.master.agent_lost("a1");
        bench
            .master
            .agent("a2", "cpus:2;mem:256", Some(20 * SECOND));
        bench.kit.advance(12 * SECOND).await;
        assert_eq!(handle.progress().groups[0].lost, 2);
        bench.master.agent_back("a1");
        bench.kit.settle().await;
        assert_eq!(
            bench.master.state_of("job.map.0.0"),
            Some(TaskState::Killed)
        );
        assert_eq!(
            bench.master.state_of("job.map.0.1"),
            Some(TaskState::Running)
        );
        bench.kit.advance(20 * SECOND).await;
        bench.master.update("job.reduce.0.0", TaskState::Finished);
        let outcome = bench.end(&mut handle).await;
        assert_eq!(outcome.tasks["map"][1].as_str(), "job.map.1.1");
    });
}

#[test]
fn a_job_that_fails_kills_the_rest_and_says_why() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:2;mem:256", None);
        let mut handle = bench.start(map_reduce(2));
        bench.kit.advance(SECOND).await;
        bench.master.update("job.map.0.0", TaskState::Failed);
        bench.kit.advance(2 * SECOND).await;
        bench.master.update("job.map.0.1", TaskState::Failed);
        let outcome = bench.end(&mut handle).await;
        let JobResult::Failed { task_id, message } = &outcome.result else {
            panic!("{outcome:?}")
        };
        assert_eq!(task_id.as_ref().unwrap().as_str(), "job.map.0.1");
        assert!(message.contains("failed 2 times"), "{message}");
        assert_eq!(
            bench.master.state_of("job.map.1.0"),
            Some(TaskState::Killed)
        );
        assert!(bench.master.is_torn_down());
    });
}

#[test]
fn a_finished_jobs_state_is_not_run_again() {
    run(async |kit| {
        let bench = Bench::new(kit).await;
        bench.master.agent("a1", "cpus:4;mem:256", Some(SECOND));
        let mut handle = bench.start(map_reduce(2));
        let first = bench.end(&mut handle).await;
        let mut again = bench.start(map_reduce(2));
        let second = bench.end(&mut again).await;
        assert_eq!(second.tasks, first.tasks);
        assert_eq!(bench.master.launched().len(), 3);
    });
}
