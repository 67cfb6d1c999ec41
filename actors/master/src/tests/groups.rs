//! Groups of tasks: all or none.

use tepui_protocol::{
    ExecutorId, ExecutorInfo, Filters, FrameworkId, Offer, Operation, Reason, Source, TaskGroup,
    TaskInfo, TaskState, messages::scheduler::Accept, provision::ImageInfo,
};

use crate::{effects::Letter, testing::*};

fn offered() -> (Cluster, FrameworkId, Offer) {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    (cluster, id, offer)
}

fn group(name: &str, tasks: Vec<TaskInfo>) -> TaskGroup {
    TaskGroup {
        id: ExecutorId::new(name).unwrap(),
        tasks,
        policy: Default::default(),
    }
}

fn accept(cluster: &mut Cluster, id: &FrameworkId, offer: &Offer, group: TaskGroup) {
    let call = Accept {
        framework_id: id.clone(),
        offer_ids: vec![offer.id.clone()],
        operations: vec![Operation::LaunchGroup(group)],
        filters: Filters::NONE,
    };
    cluster.event(|master, now, out| master.on_accept(now, call, out));
}

/// The groups that the agent is sent: the ids of their tasks, and of their executors.
fn sent(cluster: &mut Cluster) -> Vec<Vec<(String, String)>> {
    let letters = cluster.letters_to(&pid("a", 1)).into_iter();
    let groups = letters.filter_map(|letter| match letter {
        Letter::RunGroup(run) => Some(run.tasks),
        Letter::RunTask(run) => panic!("{} was sent alone", run.task.id),
        _ => None,
    });
    let names = |task: &TaskInfo| (task.id.to_string(), task.executor_id().to_string());
    groups
        .map(|tasks| tasks.iter().map(names).collect())
        .collect()
}

#[test]
fn a_group_goes_to_its_agent_in_one_message_and_each_task_is_in_the_books() {
    let (mut cluster, id, offer) = offered();
    let tasks = vec![
        task("t", &offer, "cpus:1;mem:64"),
        task("u", &offer, "cpus:2;mem:32"),
    ];
    accept(&mut cluster, &id, &offer, group("g", tasks));
    let name = |task: &str| (task.to_owned(), "g".to_owned());
    assert_eq!(sent(&mut cluster), [[name("t"), name("u")]]);
    let agent = &cluster.master.agents()[0];
    assert_eq!(agent.used, resources("cpus:3;mem:96").allocate(&role("*")));
    let member = cluster.task("u").info.group.unwrap();
    assert_eq!((member.index, member.size), (1, 2));
    // Each ends for itself.
    let first = cluster.task("t");
    cluster.update(&first, TaskState::Finished, TaskState::Finished);
    let agent = &cluster.master.agents()[0];
    assert_eq!(agent.used, resources("cpus:2;mem:32").allocate(&role("*")));
}

#[test]
fn one_task_that_is_not_valid_fails_all() {
    type Change = fn(&mut TaskGroup);
    let cases: [(Change, &str); 7] = [
        (
            |g| g.tasks[1].resources = resources("cpus:4"),
            "task u: the task uses more",
        ),
        (
            |g| g.tasks[1].resources = resources("cpus:1;gpus:1"),
            "cannot have GPUs",
        ),
        (
            |g| g.tasks[1].command.as_mut().unwrap().image = Some(ImageInfo::new("oci:/i")),
            "cannot have uris or an image",
        ),
        (
            |g| g.tasks[1].agent_id = "other".parse().unwrap(),
            "task u: the task names agent",
        ),
        (
            |g| g.tasks[1].command = None,
            "tasks of groups have commands",
        ),
        (
            |g| {
                g.tasks[1].executor = Some(ExecutorInfo {
                    id: "e".parse().unwrap(),
                    command: Default::default(),
                    resources: Default::default(),
                    name: String::new(),
                });
            },
            "tasks of groups have commands",
        ),
        (
            |g| g.tasks[1].id = task_id("t"),
            "task t: its id is that of another one",
        ),
    ];
    for (change, text) in cases {
        let (mut cluster, id, offer) = offered();
        let tasks = vec![task("t", &offer, "cpus:1"), task("u", &offer, "cpus:1")];
        let mut group = group("g", tasks);
        change(&mut group);
        accept(&mut cluster, &id, &offer, group);
        assert!(sent(&mut cluster).is_empty(), "{text}");
        assert!(cluster.master.agents()[0].used.is_empty(), "{text}");
        let statuses = cluster.statuses(&pid("f", 1));
        assert_eq!(statuses.len(), 2, "{statuses:?}");
        for status in statuses {
            assert_eq!(status.state, TaskState::Error);
            assert_eq!(status.reason, Some(Reason::TaskGroupInvalid));
            assert_eq!(status.source, Source::Master);
            assert!(status.message.starts_with("task group g: "), "{status:?}");
            assert!(status.message.contains(text), "{status:?}");
        }
    }
}

#[test]
fn a_group_without_tasks_or_with_an_id_in_use_is_not_launched() {
    let (mut cluster, id, offer) = offered();
    accept(&mut cluster, &id, &offer, group("g", Vec::new()));
    assert!(sent(&mut cluster).is_empty());
    cluster.advance(secs(1));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    accept(
        &mut cluster,
        &id,
        &offer,
        group("g", vec![task("t", &offer, "cpus:1")]),
    );
    assert_eq!(sent(&mut cluster).len(), 1);
    cluster.advance(secs(1));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    // The same call once more harms nobody, and another group of that name is refused.
    let again = vec![task("t", &offer, "cpus:1"), task("u", &offer, "cpus:1")];
    accept(&mut cluster, &id, &offer, group("g", again));
    let [status] = &cluster.statuses(&pid("f", 1))[..] else {
        panic!("one status");
    };
    assert_eq!(status.task_id, task_id("u"));
    assert_eq!(status.message, "task group g: its id is in use");
}

#[test]
fn a_group_that_cannot_be_sent_is_dropped_as_a_whole() {
    let (mut cluster, id, offer) = offered();
    let tasks = vec![task("t", &offer, "cpus:1"), task("u", &offer, "cpus:1")];
    accept(&mut cluster, &id, &offer, group("g", tasks));
    let letters = cluster.letters_to(&pid("a", 1)).into_iter();
    let mut runs = letters.filter(|letter| matches!(letter, Letter::RunGroup(_)));
    let run = runs.next().expect("the group was sent");
    cluster.event(|master, now, out| master.on_undelivered(now, run, out));
    let states = cluster.statuses(&pid("f", 1));
    let states: Vec<_> = states.iter().map(|status| status.state).collect();
    assert_eq!(states, [TaskState::Dropped; 2]);
    assert!(cluster.master.agents()[0].used.is_empty());
}
