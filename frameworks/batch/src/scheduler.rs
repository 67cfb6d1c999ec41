//! [`BatchScheduler`]: drives a job's machine by the callbacks of the SDK, and says what is to be
//! done. A state machine as every scheduler: tests call it without actors.
//!
//! Kept in the framework's store: the job, every instance that was ever launched (before its task
//! leaves), and the result. A restarted process begins with these and has the driver reconcile all
//! attempts that may be running.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use tepui_framework::{
    Calls, End, Kept, Scheduler,
    protocol::{
        Filters, FrameworkId, MasterId, Offer, OfferId, Operation, TaskId, TaskInfo, TaskState,
        TaskStatus, Timestamp,
    },
    store::{self, StoreError},
};

use crate::{
    board::{Board, JobOutcome, JobProgress, JobResult},
    gathering::{Bundle, Gathering},
    instance::{Instance, Verdict},
    job::{Job, awaited},
    launch,
    machine::{Machine, Place},
};

const JOB: &str = "job";
const RESULT: &str = "result";
const INSTANCE: &str = "instance/";

/// Timers.
const LOOK_AT_UNREACHABLE: u64 = 1;
const END_ANYWAY: u64 = 2;
const GATHERED_LONG_ENOUGH: u64 = 3;

/// How long a failed job waits for its remaining tasks to be killed.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// For how long offers stay away while nothing is to be launched.
const NOTHING_TO_DO: Filters = Filters {
    refuse_seconds: 60.0,
};

/// What a job's owner may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a task may be unreachable before another attempt is made; default 10 s.
    pub unreachable_timeout: Duration,
    /// At most so many tasks are launched on one offer; default: as many as fit.
    pub tasks_per_offer: Option<usize>,
    /// For how long an offer that is too small for any task is held, for more of its agent to come;
    /// default 5 s. Zero: it is declined at once.
    pub gather_for: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unreachable_timeout: Duration::from_secs(10),
            tasks_per_offer: None,
            gather_for: Duration::from_secs(5),
        }
    }
}

/// The scheduler of one job.
pub struct BatchScheduler {
    machine: Machine,
    policy: Policy,
    gathering: Gathering,
    /// What tasks find in TEPUI_MASTER.
    master: String,
    board: Board,
    framework_id: Option<FrameworkId>,
    connected: bool,
    suppressed: bool,
    result: Option<JobResult>,
}

impl BatchScheduler {
    /// A scheduler for `job`, whose tasks find `master` in TEPUI_MASTER.
    ///
    /// # Errors
    /// [`crate::JobError`] when the job breaks a rule.
    pub fn new(job: Job, policy: Policy, master: &str) -> Result<Self, crate::JobError> {
        job.check()?;
        for group in &job.groups {
            if let Some(word) = group.after.iter().find(|word| awaited(word).1.is_some()) {
                return Err(crate::JobError::new(format!(
                    "group {:?}: after = [{word:?}]: groups of a job wait for the end of others; conditions are for pods",
                    group.name
                )));
            }
        }
        Ok(Self {
            machine: Machine::new(job),
            policy,
            gathering: Gathering::default(),
            master: master.to_owned(),
            board: Board::new(),
            framework_id: None,
            connected: false,
            suppressed: false,
            result: None,
        })
    }

    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// How the job comes along.
    pub fn progress(&self) -> JobProgress {
        JobProgress {
            job: self.machine.job().name.clone(),
            framework_id: self.framework_id.clone(),
            connected: self.connected,
            groups: self.machine.progress(),
            finished: self.result.clone(),
        }
    }

    /// What became of the job, once it is over.
    pub fn outcome(&self) -> Option<JobOutcome> {
        let result = self.result.clone()?;
        let groups = self.machine.job().groups.iter().enumerate();
        let finals = groups.map(|(at, group)| (group.name.clone(), self.machine.finals(at)));
        Some(JobOutcome {
            framework_id: self.framework_id.clone(),
            result,
            tasks: finals.collect(),
            progress: self.progress(),
        })
    }

    fn show(&self) {
        self.board.show(self.progress());
    }

    /// Reads what an earlier life kept.
    fn load(&mut self, kept: &Kept) -> Result<(), String> {
        let problem = |error: StoreError| error.to_string();
        if let Some(bytes) = kept.get(JOB) {
            let job: Job = store::get(JOB, bytes).map_err(problem)?;
            if job != *self.machine.job() {
                let name = job.name;
                return Err(format!(
                    "the state is that of another job, {name:?}, or of an older version of this \
                     one; choose another state file"
                ));
            }
        }
        for (key, bytes) in kept {
            if let Some(place) = key.strip_prefix(INSTANCE).and_then(place_of) {
                let instance: Instance = store::get(key, bytes).map_err(problem)?;
                if self.machine.has(place) {
                    self.machine.restore(place, instance);
                }
            }
        }
        if let Some(bytes) = kept.get(RESULT) {
            self.result = Some(store::get(RESULT, bytes).map_err(problem)?);
        }
        Ok(())
    }

    fn keep(&self, calls: &mut Calls, place: Place) {
        calls.keep(key_of(place), self.machine.instance(place));
    }

    /// Launches what fits; what is too small for anything is held for a while, or declined.
    fn use_bundle(&mut self, calls: &mut Calls, bundle: Bundle) {
        let tasks = match self.result {
            None => self.pack(calls, &bundle),
            Some(_) => Vec::new(),
        };
        if !tasks.is_empty() {
            let launch = vec![Operation::Launch(tasks)];
            calls.accept(bundle.ids(), launch, self.filters());
        } else if self.may_hold() {
            if bundle.since == calls.now() {
                calls.after(self.policy.gather_for, GATHERED_LONG_ENOUGH);
            }
            self.gathering.hold(bundle);
        } else {
            calls.decline(bundle.ids(), self.filters());
        }
    }

    fn filters(&self) -> Filters {
        if self.result.is_none() && self.machine.wants_offers() {
            Filters::default()
        } else {
            NOTHING_TO_DO
        }
    }

    /// Whether one more agent's offers may be held: no more agents than there are tasks to launch.
    fn may_hold(&self) -> bool {
        let wanted = self.result.is_none() && !self.policy.gather_for.is_zero();
        wanted && self.gathering.len() < self.machine.launchable()
    }

    /// Begins attempts as long as their needs are found in the bundle.
    fn pack(&mut self, calls: &mut Calls, bundle: &Bundle) -> Vec<TaskInfo> {
        let limit = self.policy.tasks_per_offer.unwrap_or(usize::MAX);
        let mut left = bundle.resources();
        let mut tasks = Vec::new();
        while tasks.len() < limit {
            let fits = |(place, wanted)| Some((place, left.find(wanted)?));
            let Some((place, resources)) = self.machine.candidates().find_map(fits) else {
                break;
            };
            left -= &resources;
            let attempt = self.machine.launch(place, bundle.agent.clone());
            self.keep(calls, place);
            let (job, group) = (self.machine.job(), self.machine.group(place));
            let finals = |name: &str| self.machine.finals_of(name);
            let command = launch::command(job, group, place.index, &self.master, finals);
            let id = self.machine.task_id(place, attempt);
            let task = TaskInfo::command(id, bundle.agent.clone(), resources, command);
            let task = group.lifecycle.apply(task);
            tasks.push(TaskInfo {
                name: format!("{} {}", group.name, place.index),
                kill_policy: launch::kill_policy(group),
                ..task
            });
        }
        tasks
    }

    /// Tries what is held once more: there may be something to launch that is smaller.
    fn reconsider(&mut self, calls: &mut Calls) {
        for bundle in self.gathering.take() {
            self.use_bundle(calls, bundle);
        }
    }

    /// Gives back what has been held for long enough.
    fn stop_waiting(&mut self, calls: &mut Calls) {
        let due = self.gathering.take_due(calls.now(), self.policy.gather_for);
        for bundle in due {
            calls.decline(bundle.ids(), self.filters());
        }
    }

    fn on_status(&mut self, calls: &mut Calls, status: &TaskStatus) {
        let Some((place, attempt)) = self.machine.find(&status.task_id) else {
            return;
        };
        let verdict = self.machine.update(place, attempt, status, calls.now());
        match verdict {
            Verdict::Noted => return,
            Verdict::Unwanted => return calls.kill(&status.task_id),
            Verdict::Unreachable => {
                return calls.after(self.policy.unreachable_timeout, LOOK_AT_UNREACHABLE);
            }
            Verdict::Finished
            | Verdict::Ended
            | Verdict::Lost
            | Verdict::Failed
            | Verdict::Hopeless => self.keep(calls, place),
        }
        if verdict == Verdict::Finished {
            self.kill_losers(calls, place);
        }
        let failures = self.machine.instance(place).failures;
        let exhausted = verdict == Verdict::Failed && failures > self.machine.group(place).retries;
        if exhausted || verdict == Verdict::Hopeless {
            self.fail(calls, status, failures);
        } else if self.machine.is_done() {
            self.finish(calls, JobResult::Succeeded);
        }
    }

    /// Kills attempts of a done instance that still run.
    fn kill_losers(&self, calls: &mut Calls, place: Place) {
        for attempt in self.machine.instance(place).live.keys() {
            calls.kill(&self.machine.task_id(place, *attempt));
        }
    }

    fn fail(&mut self, calls: &mut Calls, status: &TaskStatus, failures: u32) {
        let message = match status.state {
            TaskState::Error => format!("{} is invalid: {}", status.task_id, why(status)),
            _ => format!("{}: {}", times(&status.task_id, failures), why(status)),
        };
        let task_id = Some(status.task_id.clone());
        self.finish(calls, JobResult::Failed { task_id, message });
    }

    /// Draws the conclusion that an earlier life had no time for.
    fn conclude(&mut self, calls: &mut Calls) {
        if self.machine.is_done() {
            return self.finish(calls, JobResult::Succeeded);
        }
        let Some(place) = self.machine.exhausted() else {
            return;
        };
        let Instance {
            failures, attempts, ..
        } = *self.machine.instance(place);
        let task_id = self.machine.task_id(place, attempts.saturating_sub(1));
        let message = times(&task_id, failures);
        self.finish(
            calls,
            JobResult::Failed {
                task_id: Some(task_id),
                message,
            },
        );
    }

    /// The job is over: says so durably, and ends what still runs.
    fn finish(&mut self, calls: &mut Calls, result: JobResult) {
        if self.result.is_some() {
            return;
        }
        calls.keep(RESULT, &result);
        self.result = Some(result);
        self.machine.live().for_each(|(task, _)| calls.kill(&task));
        calls.after(KILL_PATIENCE, END_ANYWAY);
    }

    /// Ends the framework once the job is over and nothing of it runs, or all waiting is in vain.
    fn end_if_over(&mut self, calls: &mut Calls, impatient: bool) {
        let succeeded = self.result == Some(JobResult::Succeeded);
        if self.result.is_some() && (succeeded || impatient || self.machine.is_idle()) {
            if let Some(outcome) = self.outcome() {
                self.board.end(outcome);
            }
            calls.stop(End::Teardown);
        }
    }

    /// After any change: wants offers if there is something to launch. `before`: the groups that
    /// had something to launch; a new one may fit into what is held or was declined.
    fn want(&mut self, calls: &mut Calls, before: &BTreeSet<usize>) {
        let wanting = self.wanting();
        let is_new = !wanting.is_subset(before);
        if is_new || wanting.is_empty() {
            self.reconsider(calls);
        }
        // What was held may have been enough for all of it.
        let wanting = self.wanting();
        if wanting.is_empty() && !self.suppressed {
            calls.suppress();
            self.suppressed = true;
        } else if !wanting.is_empty() && (is_new || self.suppressed) {
            calls.revive();
            self.suppressed = false;
        }
    }

    /// The groups that have something to launch now.
    fn wanting(&self) -> BTreeSet<usize> {
        match self.result {
            None => self.machine.wanting(),
            Some(_) => BTreeSet::new(),
        }
    }

    /// Gives up what has been unreachable for too long, so that it is launched again.
    fn look_at_unreachable(&mut self, calls: &mut Calls) {
        let timeout = self.policy.unreachable_timeout.as_micros();
        let timeout = u64::try_from(timeout).unwrap_or(u64::MAX);
        let limit = Timestamp(calls.now().0.saturating_sub(timeout));
        for place in self.machine.abandon_unreachable(limit) {
            self.keep(calls, place);
        }
    }

    /// Runs one callback with everything that comes after each.
    fn step(&mut self, calls: &mut Calls, change: impl FnOnce(&mut Self, &mut Calls)) {
        let before = self.machine.wanting();
        change(self, calls);
        self.want(calls, &before);
        self.end_if_over(calls, false);
        self.show();
    }
}

/// For how long a machine that is to be taken down now is not wanted.
const LEAVING_SECS: f64 = 60.0;

impl Scheduler for BatchScheduler {
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        if let Err(problem) = self.load(&kept) {
            return calls.fail(problem);
        }
        if !kept.contains_key(JOB) {
            calls.keep(JOB, self.machine.job());
        }
        let live: Vec<_> = self
            .machine
            .live()
            .map(|(id, agent)| (id, Some(agent)))
            .collect();
        if !live.is_empty() {
            calls.reconcile(live);
        }
        self.framework_id = calls.framework_id().cloned();
        self.conclude(calls);
        let everything = self.machine.wanting();
        self.want(calls, &everything);
        self.end_if_over(calls, true);
        self.show();
    }

    fn registered(&mut self, _: &mut Calls, framework: &FrameworkId, _: &MasterId) {
        self.framework_id = Some(framework.clone());
        self.connected = true;
        self.show();
    }

    fn reregistered(&mut self, _: &mut Calls, _: &MasterId) {
        self.connected = true;
        self.show();
    }

    fn disconnected(&mut self, _: &mut Calls) {
        self.connected = false;
        self.gathering.clear();
        self.show();
    }

    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.step(calls, |scheduler, calls| {
            for offer in offers {
                let leaves = offer.unavailability;
                if leaves.is_some_and(|leaves| leaves.is_at(calls.now())) {
                    // Its machine is about to be taken down: what began there would be lost.
                    calls.decline([offer.id], Filters::seconds(LEAVING_SECS));
                    continue;
                }
                let bundle = scheduler.gathering.join(offer, calls.now());
                scheduler.use_bundle(calls, bundle);
            }
        });
    }

    fn rescinded(&mut self, _: &mut Calls, offer: OfferId) {
        self.gathering.forget(&offer);
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.step(calls, |scheduler, calls| {
            scheduler.on_status(calls, &status)
        });
    }

    fn error(&mut self, _: &mut Calls, message: &str) {
        let message = format!("the master refuses the framework: {message}");
        let result = JobResult::Failed {
            task_id: None,
            message,
        };
        // Not kept: another process may have taken the framework over.
        self.result.get_or_insert(result);
        if let Some(outcome) = self.outcome() {
            self.board.end(outcome);
        }
    }

    fn timer(&mut self, calls: &mut Calls, token: u64) {
        self.step(calls, |scheduler, calls| match token {
            LOOK_AT_UNREACHABLE => scheduler.look_at_unreachable(calls),
            END_ANYWAY => scheduler.end_if_over(calls, true),
            GATHERED_LONG_ENOUGH => scheduler.stop_waiting(calls),
            _ => {}
        });
    }
}

fn key_of(place: Place) -> String {
    format!("{INSTANCE}{}/{}", place.group, place.index)
}

fn place_of(text: &str) -> Option<Place> {
    let (group, index) = text.split_once('/')?;
    Some(Place {
        group: group.parse().ok()?,
        index: index.parse().ok()?,
    })
}

fn times(task: &TaskId, failures: u32) -> String {
    match failures {
        1 => format!("{task} failed, and has no retries"),
        n => format!("{task} failed {n} times, as often as it may"),
    }
}

fn why(status: &TaskStatus) -> String {
    match (&status.message, status.reason) {
        (message, _) if !message.is_empty() => message.clone(),
        (_, Some(reason)) => reason.name().to_owned(),
        _ => status.state.name().to_owned(),
    }
}
