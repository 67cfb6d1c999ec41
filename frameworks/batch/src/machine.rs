//! The job's state: which instance is where, which groups may start, whether the job is over.
//!
//! Pure data; what is to be done about a change is decided in `scheduler.rs`. Counts are kept up
//! with every change, so that nothing here walks all instances.

use std::collections::BTreeSet;

use tepui_framework::protocol::{AgentId, Resources, TaskId, TaskStatus, Timestamp};

use crate::{
    board::GroupProgress,
    instance::{Instance, Phase, Verdict},
    job::{Group, Job},
    launch,
};

/// Names an instance: indices of its group and in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) group: usize,
    pub(crate) index: u32,
}

struct GroupState {
    /// Indices of the groups that must finish first.
    after: Vec<usize>,
    instances: Vec<Instance>,
    pending: BTreeSet<u32>,
    progress: GroupProgress,
    /// Final task ids joined by blanks, once all are known.
    finals: Option<String>,
}

/// The state of a job.
pub(crate) struct Machine {
    job: Job,
    groups: Vec<GroupState>,
    /// Attempts that may be running, of all instances.
    live: BTreeSet<(Place, u32)>,
}

impl Machine {
    /// A job of which nothing has been launched. The job has been checked.
    pub(crate) fn new(job: Job) -> Self {
        let groups = job
            .groups
            .iter()
            .map(|group| GroupState::new(&job, group))
            .collect();
        Self {
            job,
            groups,
            live: BTreeSet::new(),
        }
    }

    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    pub(crate) fn group(&self, place: Place) -> &Group {
        &self.job.groups[place.group]
    }

    pub(crate) fn instance(&self, place: Place) -> &Instance {
        &self.groups[place.group].instances[place.index as usize]
    }

    /// Whether the job has such an instance.
    pub(crate) fn has(&self, place: Place) -> bool {
        let group = self.groups.get(place.group);
        group.is_some_and(|group| (place.index as usize) < group.instances.len())
    }

    pub(crate) fn task_id(&self, place: Place, attempt: u32) -> TaskId {
        launch::task_id(
            &self.job.name,
            &self.group(place).name,
            place.index,
            attempt,
        )
    }

    /// The instance and attempt that a task id names.
    pub(crate) fn find(&self, id: &TaskId) -> Option<(Place, u32)> {
        let (name, index, attempt) = launch::parts(&self.job.name, id)?;
        let group = self
            .job
            .groups
            .iter()
            .position(|group| group.name == name)?;
        let place = Place { group, index };
        self.has(place).then_some((place, attempt))
    }

    /// Puts an instance into the state that was kept of it.
    pub(crate) fn restore(&mut self, place: Place, kept: Instance) {
        self.change(place, |instance| *instance = kept);
    }

    /// Begins an attempt of a pending instance.
    pub(crate) fn launch(&mut self, place: Place, agent: AgentId) -> u32 {
        self.change(place, |instance| instance.launch(agent))
    }

    /// Takes an update in.
    pub(crate) fn update(
        &mut self,
        place: Place,
        attempt: u32,
        status: &TaskStatus,
        now: Timestamp,
    ) -> Verdict {
        self.change(place, |instance| instance.update(attempt, status, now))
    }

    /// Gives up what has been unreachable since `limit` or longer; tells which instances.
    pub(crate) fn abandon_unreachable(&mut self, limit: Timestamp) -> Vec<Place> {
        let live: BTreeSet<Place> = self.live.iter().map(|(place, _)| *place).collect();
        let abandon =
            |place: &Place| self.change(*place, |instance| instance.abandon_if_unreachable(limit));
        live.into_iter().filter(abandon).collect()
    }

    /// Changes an instance and everything that is counted of it.
    fn change<T>(&mut self, place: Place, change: impl FnOnce(&mut Instance) -> T) -> T {
        let group = &mut self.groups[place.group];
        let instance = &mut group.instances[place.index as usize];
        group.progress.remove(instance);
        for attempt in instance.live.keys() {
            self.live.remove(&(place, *attempt));
        }
        let result = change(instance);
        group.progress.add(instance);
        self.live
            .extend(instance.live.keys().map(|attempt| (place, *attempt)));
        match instance.phase() {
            Phase::Pending => group.pending.insert(place.index),
            _ => group.pending.remove(&place.index),
        };
        if group.progress.done == group.progress.total {
            self.list_finals(place.group);
        }
        result
    }

    fn list_finals(&mut self, at: usize) {
        if self.groups[at].finals.is_none() {
            let ids: Vec<String> = self.finals(at).iter().map(ToString::to_string).collect();
            self.groups[at].finals = Some(ids.join(" "));
        }
    }

    /// The task ids of a group that finished, by index.
    pub(crate) fn finals(&self, group: usize) -> Vec<TaskId> {
        let instances = self.groups[group].instances.iter().zip(0..);
        let id = |(instance, index): (&Instance, u32)| {
            Some(self.task_id(Place { group, index }, instance.done?))
        };
        instances.filter_map(id).collect()
    }

    /// The same for the group of that name, joined by blanks; empty before it is done.
    pub(crate) fn finals_of(&self, name: &str) -> &str {
        let at = self.job.groups.iter().position(|group| group.name == name);
        at.and_then(|at| self.groups[at].finals.as_deref())
            .unwrap_or_default()
    }

    /// Whether all that a group waits for is done.
    fn is_ready(&self, group: usize) -> bool {
        self.groups[group]
            .after
            .iter()
            .all(|at| self.groups[*at].is_done())
    }

    /// The next pending instance of each group that may start, in the order of the job, with what
    /// it needs.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (Place, &Resources)> {
        let ready = (0..self.groups.len()).filter(|group| self.is_ready(*group));
        ready.filter_map(|group| {
            let index = *self.groups[group].pending.first()?;
            Some((Place { group, index }, &self.job.groups[group].resources))
        })
    }

    /// Whether anything could be launched now.
    pub(crate) fn wants_offers(&self) -> bool {
        self.candidates().next().is_some()
    }

    /// How many instances could be launched now.
    pub(crate) fn launchable(&self) -> usize {
        let ready = (0..self.groups.len()).filter(|group| self.is_ready(*group));
        ready.map(|group| self.groups[group].pending.len()).sum()
    }

    /// The groups that have something to launch now.
    pub(crate) fn wanting(&self) -> BTreeSet<usize> {
        self.candidates().map(|(place, _)| place.group).collect()
    }

    /// Attempts that may be running, with their agents.
    pub(crate) fn live(&self) -> impl Iterator<Item = (TaskId, AgentId)> {
        self.live.iter().map(|(place, attempt)| {
            let agent = self.instance(*place).live[attempt].agent.clone();
            (self.task_id(*place, *attempt), agent)
        })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.live.is_empty()
    }

    /// Whether every instance is done.
    pub(crate) fn is_done(&self) -> bool {
        self.groups.iter().all(GroupState::is_done)
    }

    /// An instance that has failed more often than it may.
    pub(crate) fn exhausted(&self) -> Option<Place> {
        let places = self.groups.iter().enumerate().flat_map(|(group, state)| {
            (0..state.progress.total).map(move |index| Place { group, index })
        });
        let is_exhausted =
            |place: &Place| self.instance(*place).failures > self.group(*place).retries;
        places.into_iter().find(is_exhausted)
    }

    pub(crate) fn progress(&self) -> Vec<GroupProgress> {
        self.groups
            .iter()
            .map(|group| group.progress.clone())
            .collect()
    }
}

impl GroupState {
    fn new(job: &Job, group: &Group) -> Self {
        let of = |name: &String| job.groups.iter().position(|other| other.name == *name);
        let progress = GroupProgress {
            name: group.name.clone(),
            total: group.count,
            pending: group.count,
            ..GroupProgress::default()
        };
        Self {
            after: group.after.iter().filter_map(of).collect(),
            instances: vec![Instance::default(); group.count as usize],
            pending: (0..group.count).collect(),
            progress,
            finals: None,
        }
    }

    fn is_done(&self) -> bool {
        self.progress.done == self.progress.total
    }
}

impl GroupProgress {
    fn count(&mut self, phase: Phase) -> &mut u32 {
        match phase {
            Phase::Pending => &mut self.pending,
            Phase::Staging => &mut self.staging,
            Phase::Running => &mut self.running,
            Phase::Done => &mut self.done,
        }
    }

    fn add(&mut self, instance: &Instance) {
        *self.count(instance.phase()) += 1;
        self.failed += instance.failures;
        self.lost += instance.losses;
    }

    fn remove(&mut self, instance: &Instance) {
        *self.count(instance.phase()) -= 1;
        self.failed -= instance.failures;
        self.lost -= instance.losses;
    }
}
