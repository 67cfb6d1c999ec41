//! The raw link: tokio, rmp-serde and channels, as one would write it by hand.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{mpsc, oneshot},
    task::spawn_local,
};

use crate::{Link, Load};

/// Messages in one write, at most.
const BATCH: usize = 512;
/// `u32` length of the rest, kind, id, target, type.
const HEADER: usize = 4 + 1 + 8 + 8 + 4;
const ASK: u8 = 1;
const REPLY: u8 = 2;

enum Out {
    Load { id: u64, ask: bool, load: Load },
    Reply { id: u64, n: u64 },
}

fn put(buffer: &mut Vec<u8>, out: &Out) {
    let start = buffer.len();
    let (kind, id) = match out {
        Out::Load { id, ask, .. } => (u8::from(*ask), *id),
        Out::Reply { id, .. } => (REPLY, *id),
    };
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(kind);
    buffer.extend_from_slice(&id.to_be_bytes());
    buffer.extend_from_slice(&1_u64.to_be_bytes());
    buffer.extend_from_slice(&1_u32.to_be_bytes());
    let encoded = match out {
        Out::Load { load, .. } => rmp_serde::encode::write(buffer, load),
        Out::Reply { n, .. } => rmp_serde::encode::write(buffer, n),
    };
    encoded.expect("plain data encodes");
    let length = u32::try_from(buffer.len() - start - 4).expect("a small frame");
    buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

async fn write(mut half: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Out>) {
    let (mut batch, mut buffer) = (Vec::with_capacity(BATCH), Vec::new());
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        for out in batch.drain(..) {
            put(&mut buffer, &out);
        }
        if half.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

/// Reads frames; `each` gets kind, id and body.
async fn read(mut half: OwnedReadHalf, mut each: impl FnMut(u8, u64, &[u8])) {
    let mut bytes = BytesMut::with_capacity(64 * 1024);
    while half.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {
        while bytes.len() >= HEADER {
            let mut header = &bytes[..HEADER];
            let length = 4 + header.get_u32() as usize;
            if bytes.len() < length {
                break;
            }
            each(header.get_u8(), header.get_u64(), &bytes[HEADER..length]);
            bytes.advance(length);
        }
        bytes.reserve(64 * 1024);
    }
}

/// Serves one connection: a reader, an actor behind a channel, and a writer.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let (stream, _) = listener.accept().await.expect("a connection");
    stream.set_nodelay(true).expect("a TCP socket");
    let (reader, writer) = stream.into_split();
    let (replies, queue) = mpsc::unbounded_channel();
    let (actor, mut mailbox) = mpsc::unbounded_channel::<(bool, u64, Load)>();
    spawn_local(write(writer, queue));
    spawn_local(async move {
        while let Some((ask, id, load)) = mailbox.recv().await {
            if ask {
                let _ = replies.send(Out::Reply { id, n: load.n });
            }
        }
    });
    read(reader, |kind, id, body| {
        let load: Load = rmp_serde::from_slice(body).expect("a load decodes");
        let _ = actor.send((kind == ASK, id, load));
    })
    .await;
}

type Pending = Rc<RefCell<HashMap<u64, oneshot::Sender<u64>>>>;

/// The client.
pub(crate) struct Raw {
    queue: mpsc::UnboundedSender<Out>,
    pending: Pending,
    next: Cell<u64>,
}

impl Raw {
    pub(crate) async fn connect(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let (reader, writer) = stream.into_split();
        let (queue, out) = mpsc::unbounded_channel();
        spawn_local(write(writer, out));
        let pending = Pending::default();
        let asked = pending.clone();
        spawn_local(read(reader, move |_, id, body| {
            let n = rmp_serde::from_slice(body).expect("a number decodes");
            if let Some(asker) = asked.borrow_mut().remove(&id) {
                let _ = asker.send(n);
            }
        }));
        Self {
            queue,
            pending,
            next: Cell::new(0),
        }
    }

    fn send(&self, id: u64, ask: bool, load: Load) {
        let out = Out::Load { id, ask, load };
        assert!(self.queue.send(out).is_ok(), "the writer runs");
    }
}

impl Link for Raw {
    async fn tell(&self, load: Load) {
        self.send(0, false, load);
    }

    async fn ask(&self, load: Load) -> u64 {
        let id = self.next.replace(self.next.get() + 1);
        let (sender, answer) = oneshot::channel();
        self.pending.borrow_mut().insert(id, sender);
        self.send(id, true, load);
        answer.await.expect("an answer")
    }
}
