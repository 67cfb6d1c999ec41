//! A scheduler of a job or a pod that tells what happens to it.
//!
//! The news are for people: when nobody reads them fast enough, some are left out. The outcome is
//! not.

use std::fmt;

use serde::{Deserialize, Serialize};
use tepui_batch::{BatchScheduler, JobOutcome, PodScheduler};
use tepui_framework::{Calls, Kept, Scheduler};
use tepui_protocol::{
    FrameworkId, MasterId, Offer, OfferId, TaskStatus, messages::scheduler::Failure,
};
use tokio::sync::{mpsc, watch};

/// News that may wait to be read.
const WAITING: usize = 4096;

/// Something happened. As JSON an object with one key: `{"status": {...}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum News {
    /// The framework has this id.
    Subscribed(FrameworkId),
    /// Whether a master is there.
    Connected(bool),
    /// A task's state.
    Status(TaskStatus),
    /// The job is over.
    Outcome(Box<JobOutcome>),
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Subscribed(framework) => write!(f, "framework {framework}"),
            News::Connected(true) => f.write_str("the master is back"),
            News::Connected(false) => f.write_str("the master is lost; tasks run on"),
            News::Status(status) => {
                let line = match (status.message.lines().next(), status.healthy) {
                    (Some(line), _) => line,
                    (None, Some(true)) => "healthy",
                    (None, Some(false)) => "not healthy",
                    (None, None) => "",
                };
                let head = format!("{:24} {}", status.task_id, status.state);
                f.write_str(format!("{head:40} {line}").trim_end())
            }
            News::Outcome(outcome) => {
                let (done, total) = outcome.progress.done_of_total();
                write!(f, "{done} of {total} tasks finished")
            }
        }
    }
}

/// A scheduler that comes to an end.
pub(super) trait Ends: Scheduler {
    /// What became of its job, once that is over.
    fn outcome(&self) -> Option<JobOutcome>;
}

impl Ends for BatchScheduler {
    fn outcome(&self) -> Option<JobOutcome> {
        self.outcome()
    }
}

impl Ends for PodScheduler {
    fn outcome(&self) -> Option<JobOutcome> {
        self.outcome()
    }
}

/// The scheduler and where it tells.
pub(super) struct Watched<S> {
    inner: S,
    news: mpsc::Sender<News>,
    outcome: watch::Sender<Option<JobOutcome>>,
}

/// Where the news arrive.
pub(super) struct Receiver {
    news: mpsc::Receiver<News>,
    outcome: watch::Receiver<Option<JobOutcome>>,
}

impl Receiver {
    /// The next news; none when there will be no more.
    pub(super) async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// News that have arrived and were not read.
    pub(super) fn waiting(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// What became of the job, as far as it is over.
    pub(super) fn outcome(&self) -> Option<JobOutcome> {
        self.outcome.borrow().clone()
    }
}

impl<S: Ends> Watched<S> {
    /// `inner`, and where its news arrive.
    pub(super) fn new(inner: S) -> (Self, Receiver) {
        let (sender, news) = mpsc::channel(WAITING);
        let (outcome, is_over) = watch::channel(None);
        (
            Self {
                inner,
                news: sender,
                outcome,
            },
            Receiver {
                news,
                outcome: is_over,
            },
        )
    }

    fn tell(&self, news: News) {
        // Left out when the reader is slow or gone.
        let _ = self.news.try_send(news);
    }

    fn look(&self) {
        let outcome = self.inner.outcome();
        if outcome.is_some() {
            self.outcome.send_replace(outcome);
        }
    }
}

impl<S: Ends> Scheduler for Watched<S> {
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        self.inner.restored(calls, kept);
        self.look();
    }

    fn registered(&mut self, calls: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        self.tell(News::Subscribed(framework.clone()));
        self.inner.registered(calls, framework, master);
    }

    fn reregistered(&mut self, calls: &mut Calls, master: &MasterId) {
        self.tell(News::Connected(true));
        self.inner.reregistered(calls, master);
    }

    fn disconnected(&mut self, calls: &mut Calls) {
        self.tell(News::Connected(false));
        self.inner.disconnected(calls);
    }

    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.inner.offers(calls, offers);
    }

    fn rescinded(&mut self, calls: &mut Calls, offer: OfferId) {
        self.inner.rescinded(calls, offer);
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.tell(News::Status(status.clone()));
        self.inner.update(calls, status);
        self.look();
    }

    fn failure(&mut self, calls: &mut Calls, failure: Failure) {
        self.inner.failure(calls, failure);
    }

    fn error(&mut self, calls: &mut Calls, message: &str) {
        self.inner.error(calls, message);
        self.look();
    }

    fn timer(&mut self, calls: &mut Calls, token: u64) {
        self.inner.timer(calls, token);
        self.look();
    }

    fn acknowledges_itself(&self) -> bool {
        self.inner.acknowledges_itself()
    }
}
