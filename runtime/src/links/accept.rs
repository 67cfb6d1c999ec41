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
    let mut strangers: VecDeque<Task> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((opening, from)) => {
                if strangers.len() >= STRANGERS_MAX {
                    strangers.retain(|stranger| !stranger.is_finished());
                }
                if strangers.len() >= STRANGERS_MAX {
                    strangers.pop_front();
                }
                let meeting = meet(core.clone(), opening, from);
                strangers.push_back(Task::spawn(&core.runtime, meeting));
            }
            Err(error) => {
                core.warn_once(&format!("cannot take connections: {}", plain(&error)));
                sleep_until(Instant::now() + PAUSE).await;
            }
        }
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
