//! A framework of the simulation that runs pods until enough of them have finished.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use tepui_batch::{Job, JobOutcome, PodScheduler};
use tepui_framework::{Calls, Options, Scheduler, run_with};
use tepui_protocol::{FrameworkId, FrameworkInfo, GroupPolicy, MasterId, Offer, Role, TaskStatus};

use super::{
    faults,
    simulation::{PORT, Simulation, Site, master, timing},
};

/// Pods that have finished, by the host of their framework.
pub type Finished = Rc<RefCell<BTreeMap<String, usize>>>;

/// A pod that says what became of it.
struct Told {
    pod: PodScheduler,
    outcome: Arc<Mutex<Option<JobOutcome>>>,
}

impl Told {
    fn look(&self) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        *outcome = self.pod.outcome();
    }
}

impl Scheduler for Told {
    fn registered(&mut self, calls: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        self.pod.registered(calls, framework, master);
    }

    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.pod.offers(calls, offers);
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.pod.update(calls, status);
        self.look();
    }

    fn error(&mut self, calls: &mut Calls, message: &str) {
        self.pod.error(calls, message);
        self.look();
    }
}

impl Simulation {
    /// Adds a framework that runs pods of the groups of `job`, one after the other, until `count` have
    /// finished.
    pub fn pods(&mut self, number: usize, job: Job, count: usize, finished: &Finished) {
        let (site, name, finished) = (
            self.site.clone(),
            faults::framework(number),
            finished.clone(),
        );
        self.host(&name.clone(), move || {
            life(
                site.clone(),
                name.clone(),
                job.clone(),
                count,
                finished.clone(),
            )
        });
    }
}

async fn life(
    site: Site,
    name: String,
    job: Job,
    count: usize,
    finished: Finished,
) -> turmoil::Result {
    let node = site.node(&name, PORT).await?;
    let mut attempts = 0;
    while finished.borrow().get(&name).copied().unwrap_or(0) < count {
        attempts += 1;
        // A failed one is another pod, so that its tasks are others.
        let job = Job {
            name: format!("{name}-{attempts}"),
            ..job.clone()
        };
        let info = FrameworkInfo::new(&job.name, Role::new("*")?);
        let outcome = Arc::new(Mutex::new(None));
        let pod = PodScheduler::new(job, GroupPolicy::EndAll, "master:1")?;
        let told = Told {
            pod,
            outcome: outcome.clone(),
        };
        let options = Options {
            timing: timing(),
            name: format!("scheduler-{attempts}"),
            ..Options::default()
        };
        if let Err(error) = run_with(&node, master(), info, told, options)?.wait().await {
            site.journal.violated("SIM-6", format!("{name}: {error}"));
        }
        let outcome = outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if outcome.is_some_and(|outcome| outcome.is_success()) {
            *finished.borrow_mut().entry(name.clone()).or_insert(0) += 1;
        }
    }
    node.shutdown().await;
    Ok(())
}
