//! The writing half: batches from the queue, and what is owed to the peer in between.

use std::{pin::pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep_until},
};

use super::{Farewell, Shared};
use crate::{
    frame::{Control, encode_control},
    transport::WriteHalf,
};

/// Writes until the connection breaks (which the reader reports) or a farewell is said.
pub(super) async fn run(shared: Arc<Shared>, mut half: WriteHalf, dialled: bool) {
    let mut control = BytesMut::new();
    if dialled {
        encode_control(&Control::Start, &mut control);
    }
    let heartbeat = shared.core.config.heartbeat;
    let mut beat = pin!(sleep_until(Instant::now() + heartbeat));
    let mut written = Instant::now();
    loop {
        if let Some(Farewell::Reject(why)) = shared.farewell() {
            return part(half, control, &Control::Reject(why)).await;
        }
        shared.put_owed(&mut control);
        let Shared {
            core,
            peer,
            life,
            number,
            ..
        } = &*shared;
        let chunk = life.next(*number, &peer.outbox, &core.config, &mut control);
        if chunk.is_some() || !control.is_empty() {
            let bytes = control.len() + chunk.as_ref().map_or(0, Bytes::len);
            core.counters.wrote(bytes);
            if write(&mut half, &control, chunk).await.is_err() {
                return;
            }
            control.clear();
            written = Instant::now();
            continue;
        }
        if shared.farewell().is_some() && peer.outbox.is_empty() {
            return part(half, control, &Control::Goodbye).await;
        }
        tokio::select! {
            biased;
            () = shared.wake.notified() => {}
            () = &mut beat => {
                let now = Instant::now();
                if now >= written + heartbeat {
                    encode_control(&Control::Ping { received: life.received() }, &mut control);
                    beat.as_mut().reset(now + heartbeat);
                } else {
                    beat.as_mut().reset(written + heartbeat);
                }
            }
        }
    }
}

async fn write(
    half: &mut WriteHalf,
    control: &BytesMut,
    chunk: Option<Bytes>,
) -> std::io::Result<()> {
    if !control.is_empty() {
        half.write_all(control).await?;
    }
    if let Some(chunk) = chunk {
        half.write_all(&chunk).await?;
    }
    half.flush().await
}

/// The last words; a peer that is gone already does not miss them.
async fn part(mut half: WriteHalf, mut control: BytesMut, last: &Control) {
    encode_control(last, &mut control);
    if half.write_all(&control).await.is_ok() {
        let _ = half.shutdown().await;
    }
}
