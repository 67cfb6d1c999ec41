//! A proxy for the connections to one node: it can stall all of them, and break them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tepui_runtime::NodeAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::spawn_local,
};

/// See the module.
pub(crate) struct Proxy {
    listener: TcpListener,
    target: NodeAddr,
    open: AtomicBool,
    /// Connections of earlier generations are broken.
    generation: AtomicU64,
    changed: Notify,
}

impl Proxy {
    /// Listens, and finds a port for the node behind it.
    pub(crate) async fn bind() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = free.local_addr().unwrap().into();
        Arc::new(Self {
            listener,
            target,
            open: AtomicBool::new(true),
            generation: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    /// Where the node behind it is to listen.
    pub(crate) fn target(&self) -> &NodeAddr {
        &self.target
    }

    /// Where others reach that node.
    pub(crate) fn addr(&self) -> NodeAddr {
        self.listener.local_addr().unwrap().into()
    }

    /// Breaks all connections; new ones can be made.
    pub(crate) fn reset(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Lets bytes through, or holds them back.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Begins to take connections.
    pub(crate) fn serve(self: Arc<Self>) {
        spawn_local(async move {
            loop {
                let (near, _) = self.listener.accept().await.unwrap();
                let generation = self.generation.load(Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(self.target.to_string()).await else {
                    continue;
                };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                spawn_local(self.clone().pass(generation, near_read, far_write));
                spawn_local(self.clone().pass(generation, far_read, near_write));
            }
        });
    }

    async fn pass(
        self: Arc<Self>,
        generation: u64,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.generation.load(Ordering::Relaxed) != generation {
                return;
            }
            if !self.open.load(Ordering::Relaxed) {
                changed.await;
                continue;
            }
            let count = tokio::select! {
                count = from.read(&mut bytes) => count.unwrap_or(0),
                () = changed => continue,
            };
            if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}
