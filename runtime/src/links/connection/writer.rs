//! The writing half: what waits whenever it is woken, and signs of life in between.

use std::{future::poll_fn, pin::pin, sync::Arc};

use tokio::time::{Instant, sleep_until};

use super::{Farewell, Shared};
use crate::frame::{
    Control,
    wire::{BULK, MAIN},
};

/// Writes until the connection breaks (which the reader reports) or a farewell is said.
pub(super) async fn run(shared: Arc<Shared>) {
    // Idle for one beat to two, and that is at most the heartbeat.
    let beat = shared.core.config.heartbeat / 2;
    let mut next = pin!(sleep_until(Instant::now() + beat));
    let mut quiet = false;
    loop {
        let farewell = shared.farewell();
        if let Some(Farewell::Reject(why)) = farewell {
            return part(&shared, &Control::Reject(why)).await;
        }
        let written = tokio::select! {
            biased;
            written = poll_fn(|context| shared.poll_write(context)) => written,
            // A sender that found the socket full has taken this task's place at it.
            () = shared.wake.notified() => continue,
        };
        if written.is_err() {
            return;
        }
        shared.listen();
        if shared.lane == BULK
            && let Some(main) = shared.peer.outbox.connection(MAIN)
            && main.farewell().is_some()
        {
            main.wake.notify_one();
        }
        if farewell.is_some() && shared.peer.outbox.is_empty() {
            return part(&shared, &Control::Goodbye).await;
        }
        tokio::select! {
            biased;
            () = shared.wake.notified() => {}
            () = &mut next => {
                if shared.is_active() {
                    quiet = false;
                } else if std::mem::replace(&mut quiet, true) {
                    shared.owe(&Control::Ping(shared.life.arrived(shared.lane)));
                }
                next.as_mut().reset(Instant::now() + beat);
            }
        }
    }
}

/// The last words; a peer that is gone already does not miss them.
async fn part(shared: &Shared, last: &Control) {
    shared.owe(last);
    if poll_fn(|context| shared.poll_write(context)).await.is_ok() {
        let _ = poll_fn(|context| shared.poll_shutdown(context)).await;
    }
}
