//! Takes connections, and lets those who introduce themselves in.
//!
//! Whoever connects has a short time to say who it is, and only so many may be about it at once:
//! one more, and the oldest is dropped.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use super::{
    core::Core,
    handshake::{Caller, answer},
    peer::Event,
    problem::{Problem, plain},
    task::Task,
};
use crate::transport::{Listener, Opening};

/// Connections that may be introducing themselves at once.
const STRANGERS_MAX: usize = 1024;
/// A listener that fails (for want of file descriptors, mostly) is asked again after this time.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for ever.
pub(super) async fn run(core: Arc<Core>, mut listener: Box<dyn Listener>) {
    let mut strangers = Strangers::default();
    loop {
        match listener.accept().await {
            Ok((opening, from)) => {
                let meeting = meet(core.clone(), opening, from);
                strangers.add(Task::spawn(&core.runtime, meeting));
            }
            Err(error) => {
                core.warn_once(&format!("cannot take connections: {}", plain(&error)));
                sleep_until(Instant::now() + PAUSE).await;
            }
        }
    }
}

/// Who is introducing itself, the oldest first. Who has done so is forgotten at the next arrival,
/// or, behind one who takes its time, at the latest when that one's time is over.
#[derive(Debug, Default)]
struct Strangers(VecDeque<Task>);

impl Strangers {
    fn add(&mut self, stranger: Task) {
        while self.0.front().is_some_and(Task::is_finished) {
            self.0.pop_front();
        }
        if self.0.len() >= STRANGERS_MAX {
            self.0.retain(|stranger| !stranger.is_finished());
        }
        if self.0.len() >= STRANGERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(stranger);
    }
}

async fn meet(core: Arc<Core>, opening: Opening, from: String) {
    let limit = core.config.handshake_timeout;
    let meeting = async { answer(&core, opening.await?, &from).await };
    let problem = match timeout(limit, meeting).await {
        Ok(Ok(Caller::Peer(greeted, hold))) => {
            let peer = hold.peer().clone();
            return peer.tell(Event::Opened(greeted, hold));
        }
        Ok(Ok(Caller::Http(visit))) => {
            if let Some(inbound) = core.inbound() {
                inbound.on_http(visit);
            }
            return;
        }
        Ok(Err(problem)) => problem,
        Err(_) => Problem::Silent(limit),
    };
    match problem {
        // A port scan, a health check, or a dialler that no longer needs the connection.
        Problem::Closed | Problem::Io(_) | Problem::Stopping => {
            tracing::debug!("{}", problem.of(&from));
        }
        _ => core.warn_once(&problem.of(&host_of(&from))),
    }
}

/// Without the port, which differs each time.
fn host_of(from: &str) -> &str {
    from.rsplit_once(':').map_or(from, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::runtime::{Builder, Handle};

    use super::*;

    #[test]
    fn who_has_introduced_itself_takes_no_room() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut strangers = Strangers::default();
            for _ in 0..10 {
                strangers.add(Task::spawn(&Handle::current(), async {}));
                tokio::task::yield_now().await;
                assert_eq!(strangers.0.len(), 1);
            }
        });
    }

    #[test]
    fn one_more_than_the_most_ends_the_oldest() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut strangers = Strangers::default();
            for _ in 0..=STRANGERS_MAX {
                strangers.add(Task::spawn(&Handle::current(), pending()));
            }
            assert_eq!(strangers.0.len(), STRANGERS_MAX);
            // Whoever has ended goes before the oldest does.
            strangers.0[7].abort();
            tokio::task::yield_now().await;
            strangers.add(Task::spawn(&Handle::current(), pending()));
            assert!(!strangers.0[0].is_finished());
            assert_eq!(strangers.0.len(), STRANGERS_MAX);
        });
    }
}
