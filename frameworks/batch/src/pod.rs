//! A pod: the groups of a job, one instance each, launched together on one agent, all or none.
//!
//! ```text
//!  WAITING --an offer has room for all--> LAUNCHED --all finished--> succeeded
//!     ^                                      |------one failed or was killed--> failed (its agent ends the others)
//!     +---- all ended, the cluster's fault --+
//! ```
//! Another attempt has other task ids. Nothing is kept: a pod ends with its framework.

use std::collections::BTreeMap;

use tepui_framework::{
    Calls, End, Scheduler,
    protocol::{
        AgentId, ExecutorId, Filters, FrameworkId, GroupPolicy, MasterId, Offer, Resources,
        TaskGroup, TaskId, TaskInfo, TaskState, TaskStatus,
        start::{StartAfter, StartCondition},
    },
};

use crate::{
    JobError,
    board::{GroupProgress, JobOutcome, JobProgress, JobResult},
    instance::is_clusters_fault,
    job::{Group, Job, awaited},
    launch,
};

/// The scheduler of one pod.
pub struct PodScheduler {
    job: Job,
    policy: GroupPolicy,
    /// What tasks find in TEPUI_MASTER.
    master: String,
    framework_id: Option<FrameworkId>,
    connected: bool,
    /// Attempts that are over.
    attempt: u32,
    /// The tasks of this attempt, in the order of the groups; none before it is launched.
    tasks: Vec<(TaskId, TaskState)>,
    /// Why it will have failed, as far as that is known: the task, and for people.
    failure: Option<(TaskId, String)>,
    result: Option<JobResult>,
}

impl PodScheduler {
    /// A scheduler for the groups of `job` together, whose tasks find `master` in TEPUI_MASTER.
    ///
    /// # Errors
    /// [`JobError`] when the job breaks a rule, or has what pods have not: several instances of a
    /// group, retries.
    pub fn new(job: Job, policy: GroupPolicy, master: &str) -> Result<Self, JobError> {
        job.check()?;
        for group in &job.groups {
            let wrong = |problem| Err(JobError::new(format!("group {:?}: {problem}", group.name)));
            if group.count != 1 {
                return wrong("count: in a pod each group has one instance");
            }
            for word in &group.after {
                let condition = awaited(word)
                    .1
                    .map_or(Ok(StartCondition::Finished), str::parse);
                if let Err(problem) = condition {
                    return wrong(&format!("after = [{word:?}]: {problem}"));
                }
            }
            if group.retries != 0 {
                return wrong("retries: a pod is not run again when it fails; use restarts");
            }
            if !group.resources.gpus().is_zero() {
                return wrong("gpus: pods cannot have GPUs");
            }
            if !group.uris.is_empty() || group.image.is_some() {
                return wrong("uris, image: pods cannot have files or images");
            }
        }
        Ok(Self {
            job,
            policy,
            master: master.to_owned(),
            framework_id: None,
            connected: false,
            attempt: 0,
            tasks: Vec::new(),
            failure: None,
            result: None,
        })
    }

    /// What became of the pod, once it is over.
    pub fn outcome(&self) -> Option<JobOutcome> {
        let result = self.result.clone()?;
        let progress = JobProgress {
            job: self.job.name.clone(),
            framework_id: self.framework_id.clone(),
            connected: self.connected,
            groups: self.progress(),
            finished: Some(result.clone()),
        };
        Some(JobOutcome {
            framework_id: self.framework_id.clone(),
            result,
            tasks: BTreeMap::new(),
            progress,
        })
    }

    fn progress(&self) -> Vec<GroupProgress> {
        let of_group = |(at, group): (usize, &Group)| {
            let state = self.tasks.get(at).map(|(_, state)| *state);
            let is = |wanted: bool| u32::from(wanted);
            let done = state == Some(TaskState::Finished);
            let failed = state.is_some_and(TaskState::is_terminal) && !done;
            let running = matches!(state, Some(TaskState::Running | TaskState::Killing));
            GroupProgress {
                name: group.name.clone(),
                total: 1,
                pending: is(state.is_none() || failed),
                staging: is(state.is_some() && !done && !failed && !running),
                running: is(running),
                done: is(done),
                failed: is(failed),
                lost: self.attempt,
            }
        };
        self.job.groups.iter().enumerate().map(of_group).collect()
    }

    /// The pod on what `offered` has, if there is room for all of it.
    fn group(&self, agent: &AgentId, offered: &Resources) -> Option<TaskGroup> {
        let mut left = offered.clone();
        let mut tasks = Vec::new();
        for group in &self.job.groups {
            let resources = left.find(&group.resources)?;
            left -= &resources;
            let id = launch::task_id(&self.job.name, &group.name, 0, self.attempt);
            let alone = Group {
                after: Vec::new(),
                ..group.clone()
            };
            let command = launch::command(&self.job, &alone, 0, &self.master, |_| "");
            let task = TaskInfo::command(id, agent.clone(), resources, command);
            tasks.push(TaskInfo {
                name: group.name.clone(),
                kill_policy: launch::kill_policy(group),
                start_after: group
                    .after
                    .iter()
                    .map(|word| self.start_after(word))
                    .collect(),
                ..group.lifecycle.apply(task)
            });
        }
        let id = format!("{}.pod.{}", self.job.name, self.attempt);
        Some(TaskGroup {
            id: ExecutorId::new(id).expect("names of jobs make ids"),
            tasks,
            policy: self.policy,
        })
    }

    fn start_after(&self, word: &str) -> StartAfter {
        let (group, condition) = awaited(word);
        StartAfter {
            task: launch::task_id(&self.job.name, group, 0, self.attempt),
            // They were checked.
            condition: condition
                .and_then(|word| word.parse().ok())
                .unwrap_or_default(),
        }
    }

    fn note(&mut self, status: &TaskStatus) {
        let entry = self.tasks.iter_mut().find(|(id, _)| *id == status.task_id);
        let Some((id, state)) = entry.filter(|(_, state)| !state.is_terminal()) else {
            return;
        };
        *state = status.state;
        let ended_badly = status.state.is_terminal() && status.state != TaskState::Finished;
        if !ended_badly || is_clusters_fault(status) && status.state != TaskState::Error {
            return;
        }
        // Those that were ended with another one come after it, but may be heard of before.
        let is_better = status.state != TaskState::Killed || self.failure.is_none();
        if is_better {
            let message = format!("{id} ended as {}: {}", status.state, status.message);
            self.failure = Some((id.clone(), message));
        }
    }

    fn conclude(&mut self, calls: &mut Calls) {
        let all_ended = self.tasks.iter().all(|(_, state)| state.is_terminal());
        if self.tasks.is_empty() || !all_ended || self.result.is_some() {
            return;
        }
        let finished = |(_, state): &(TaskId, TaskState)| *state == TaskState::Finished;
        self.result = match self.failure.take() {
            _ if self.tasks.iter().all(finished) => Some(JobResult::Succeeded),
            Some((task_id, message)) => Some(JobResult::Failed {
                task_id: Some(task_id),
                message,
            }),
            None => None,
        };
        match self.result {
            Some(_) => calls.stop(End::Teardown),
            None => {
                self.attempt += 1;
                self.tasks.clear();
                calls.revive();
            }
        }
    }
}

impl Scheduler for PodScheduler {
    fn registered(&mut self, _: &mut Calls, framework: &FrameworkId, _: &MasterId) {
        self.framework_id = Some(framework.clone());
        self.connected = true;
    }

    fn reregistered(&mut self, _: &mut Calls, _: &MasterId) {
        self.connected = true;
    }

    fn disconnected(&mut self, _: &mut Calls) {
        self.connected = false;
    }

    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        for offer in offers {
            let waits = self.tasks.is_empty() && self.result.is_none();
            let group = self.group(&offer.agent_id, &offer.resources);
            let Some(group) = group.filter(|_| waits) else {
                calls.decline([offer.id], Filters::default());
                continue;
            };
            let ids = group.tasks.iter().map(|task| task.id.clone());
            self.tasks = ids.map(|id| (id, TaskState::Staging)).collect();
            calls.launch_group(&offer, group);
            calls.suppress();
        }
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.note(&status);
        self.conclude(calls);
    }

    fn error(&mut self, _: &mut Calls, message: &str) {
        let message = format!("the master refuses the framework: {message}");
        let task_id = None;
        self.result
            .get_or_insert(JobResult::Failed { task_id, message });
    }
}

#[cfg(test)]
mod tests {
    use tepui_framework::{
        calls::Call,
        protocol::{Operation, Reason, Source, Timestamp, provision::ImageInfo},
    };

    use super::*;

    fn pod() -> PodScheduler {
        let resources = |text: &str| text.parse().unwrap();
        let job = Job {
            name: "web".to_owned(),
            groups: vec![
                Group::new("server", "serve", 1, resources("cpus:1;mem:64")),
                Group::new("log", "watch", 1, resources("cpus:0.5;mem:32")),
            ],
        };
        PodScheduler::new(job, GroupPolicy::EndAll, "h:1").unwrap()
    }

    fn offer(n: u32, resources: &str) -> Offer {
        Offer {
            id: format!("m-O{n}").parse().unwrap(),
            framework_id: "m-0001".parse().unwrap(),
            agent_id: "m-S1".parse().unwrap(),
            hostname: "h".to_owned(),
            role: "*".parse().unwrap(),
            resources: resources.parse().unwrap(),
            attributes: BTreeMap::new(),
            unavailability: None,
        }
    }

    fn status(id: &str, state: TaskState, reason: Option<Reason>) -> TaskStatus {
        let id = TaskId::new(id).unwrap();
        let mut status = TaskStatus::new(id, state, Source::Executor, Timestamp::from_secs(1));
        status.reason = reason;
        status.message = "why".to_owned();
        status
    }

    fn offered(pod: &mut PodScheduler, offers: Vec<Offer>) -> Vec<Call> {
        let mut calls = Calls::default();
        pod.offers(&mut calls, offers);
        calls.take()
    }

    fn heard(pod: &mut PodScheduler, status: TaskStatus) -> Vec<Call> {
        let mut calls = Calls::default();
        pod.update(&mut calls, status);
        calls.take()
    }

    fn launched(calls: &[Call]) -> Vec<String> {
        let operations = calls.iter().filter_map(|call| match call {
            Call::Accept { operations, .. } => Some(operations),
            _ => None,
        });
        let tasks = operations.flatten().flat_map(Operation::tasks);
        tasks.map(|task| task.id.to_string()).collect()
    }

    #[test]
    fn all_tasks_go_on_one_offer_that_has_room_for_all() {
        let mut pod = pod();
        let calls = offered(&mut pod, vec![offer(1, "cpus:1;mem:512")]);
        assert!(matches!(calls[..], [Call::Decline { .. }]), "{calls:?}");
        let two = vec![offer(2, "cpus:2;mem:96"), offer(3, "cpus:2;mem:96")];
        let calls = offered(&mut pod, two);
        assert_eq!(launched(&calls), ["web.server.0.0", "web.log.0.0"]);
        assert!(matches!(calls[2], Call::Decline { .. }), "{calls:?}");
    }

    #[test]
    fn it_has_finished_when_all_have() {
        let mut pod = pod();
        offered(&mut pod, vec![offer(1, "cpus:2;mem:512")]);
        heard(&mut pod, status("web.log.0.0", TaskState::Finished, None));
        assert!(pod.outcome().is_none());
        let calls = heard(
            &mut pod,
            status("web.server.0.0", TaskState::Finished, None),
        );
        assert_eq!(calls, [Call::Stop(End::Teardown)]);
        assert!(pod.outcome().unwrap().is_success());
    }

    #[test]
    fn the_one_that_failed_is_named_whoever_is_heard_of_first() {
        let mut pod = pod();
        offered(&mut pod, vec![offer(1, "cpus:2;mem:512")]);
        heard(&mut pod, status("web.log.0.0", TaskState::Killed, None));
        heard(&mut pod, status("web.server.0.0", TaskState::Failed, None));
        let JobResult::Failed { task_id, message } = pod.outcome().unwrap().result else {
            panic!("it has failed");
        };
        assert_eq!(task_id.unwrap().as_str(), "web.server.0.0");
        assert_eq!(message, "web.server.0.0 ended as TASK_FAILED: why");
    }

    #[test]
    fn it_is_launched_again_when_the_cluster_lost_it() {
        let mut pod = pod();
        offered(&mut pod, vec![offer(1, "cpus:2;mem:512")]);
        heard(&mut pod, status("web.log.0.0", TaskState::Dropped, None));
        let calls = heard(&mut pod, status("web.server.0.0", TaskState::Dropped, None));
        assert!(matches!(calls[..], [Call::Revive { .. }]), "{calls:?}");
        let calls = offered(&mut pod, vec![offer(2, "cpus:2;mem:512")]);
        assert_eq!(launched(&calls), ["web.server.0.1", "web.log.0.1"]);
        // News of the first attempt are old.
        heard(&mut pod, status("web.server.0.0", TaskState::Failed, None));
        assert!(pod.outcome().is_none());
    }

    #[test]
    fn a_pod_that_is_not_valid_has_failed() {
        let mut pod = pod();
        offered(&mut pod, vec![offer(1, "cpus:2;mem:512")]);
        let reason = Some(Reason::TaskGroupInvalid);
        heard(&mut pod, status("web.server.0.0", TaskState::Error, reason));
        heard(&mut pod, status("web.log.0.0", TaskState::Error, reason));
        assert!(!pod.outcome().unwrap().is_success());
    }

    #[test]
    fn what_pods_have_not_is_refused_with_the_group() {
        let refused = |change: fn(&mut Group)| {
            let mut job = pod().job;
            change(&mut job.groups[1]);
            let refused = PodScheduler::new(job, GroupPolicy::EndAll, "h:1");
            refused.err().unwrap().to_string()
        };
        assert!(refused(|group| group.count = 2).contains("\"log\": count"));
        assert!(refused(|group| group.after = vec!["server:up".to_owned()]).contains("running"));
        assert!(
            refused(|group| group.after = vec!["log:running".to_owned()]).contains("log -> log")
        );
        assert!(refused(|group| group.retries = 1).contains("use restarts"));
        assert!(
            refused(|group| group.resources = "cpus:1;gpus:1".parse().unwrap()).contains("gpus")
        );
        let image = |group: &mut Group| group.image = Some(ImageInfo::new("oci:/i"));
        assert!(refused(image).contains("pods cannot have files or images"));
    }
}
