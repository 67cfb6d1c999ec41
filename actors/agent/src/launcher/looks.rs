//! The thread that looks at containers, so that the agent does not wait for the kernel.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
};

use tepui_isolation::{Sampler, Usage};
use tepui_protocol::Timestamp;

use super::system::thread;

/// Asks the thread for looks, and knows what they gave.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    sampler: Arc<Mutex<Sampler>>,
    orders: SyncSender<(Timestamp, BTreeSet<String>)>,
}

impl Looks {
    /// Starts the thread, which ends when nobody can ask any more.
    pub(super) fn start(sampler: Sampler) -> Self {
        let sampler = Arc::new(Mutex::new(sampler));
        let (orders, ordered) = sync_channel::<(Timestamp, BTreeSet<String>)>(1);
        let shared = sampler.clone();
        let started = thread("looks", move || {
            for (now, names) in ordered {
                let mut sampler = shared.lock().unwrap_or_else(PoisonError::into_inner);
                sampler.look(now.0, &names);
            }
        });
        if let Err(problem) = started {
            tracing::warn!(problem, "no peaks are kept");
        }
        Self { sampler, orders }
    }

    /// Orders a look, unless one is waiting already.
    pub(super) fn ask(&self, now: Timestamp, names: BTreeSet<String>) {
        let _ = self.orders.try_send((now, names));
    }

    /// Adds what the looks at a container gave.
    pub(super) fn tell(&self, name: &str, usage: &mut Usage) {
        let sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        sampler.tell(name, usage);
    }
}
