//! A network inside the process, for tests with several nodes on a paused clock.
//!
//! Everything happens in the order in which the tasks run, so on a current-thread runtime a test
//! is the same each time. Between two nodes the network can be [cut](MemoryNetwork::cut) (bytes
//! wait, connects wait) and joined again, and their connections can be reset. A node is known by
//! the address it listens on.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use tokio::{
    io::duplex,
    sync::{Notify, mpsc},
};

use super::{Listener, Opening, Stream, Transport};
use crate::pid::NodeAddr;

mod pipe;
use pipe::{Gate, Pipe};

/// Bytes that wait in one direction of a connection before its writer does.
const PIPE_BYTES: usize = 64 * 1024;
/// Where port 0 begins to look.
const FIRST_FREE_PORT: u16 = 49152;

/// The network; clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryNetwork(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    joined: Notify,
}

#[derive(Default)]
struct State {
    doors: BTreeMap<NodeAddr, mpsc::UnboundedSender<(Pipe, String)>>,
    cuts: BTreeSet<(NodeAddr, NodeAddr)>,
    gates: Vec<(NodeAddr, NodeAddr, Weak<Gate>)>,
}

impl MemoryNetwork {
    /// A network without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The network as one node uses it. The node is known by the address it first listens on.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(MemoryTransport {
            network: self.clone(),
            own: OnceLock::new(),
        })
    }

    /// Cuts `a` and `b` off from each other: nothing is lost, but nothing arrives.
    pub fn cut(&self, a: &NodeAddr, b: &NodeAddr) {
        let mut state = self.state();
        state.cuts.insert(pair(a, b));
        state.each_gate(a, b, |gate| gate.close());
    }

    /// Ends a [cut](Self::cut).
    pub fn join(&self, a: &NodeAddr, b: &NodeAddr) {
        let mut state = self.state();
        state.cuts.remove(&pair(a, b));
        state.each_gate(a, b, |gate| gate.open());
        drop(state);
        self.0.joined.notify_waiters();
    }

    /// Breaks all connections between `a` and `b`; new ones can be made.
    pub fn reset(&self, a: &NodeAddr, b: &NodeAddr) {
        self.state().each_gate(a, b, |gate| gate.reset());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, addr: &NodeAddr) -> io::Result<MemoryDoor> {
        let mut state = self.state();
        let addr = match addr.port() {
            0 => state.free_addr(addr.host())?,
            _ => addr.clone(),
        };
        if state.doors.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, queue) = mpsc::unbounded_channel();
        state.doors.insert(addr.clone(), sender);
        Ok(MemoryDoor {
            network: self.clone(),
            addr,
            queue,
        })
    }

    async fn connect(&self, from: &NodeAddr, to: &NodeAddr) -> io::Result<Pipe> {
        loop {
            let mut joined = std::pin::pin!(self.0.joined.notified());
            joined.as_mut().enable();
            if !self.state().cuts.contains(&pair(from, to)) {
                return self.state().connect(from, to);
            }
            joined.await;
        }
    }
}

impl State {
    fn free_addr(&self, host: &str) -> io::Result<NodeAddr> {
        (FIRST_FREE_PORT..=u16::MAX)
            .map(|port| NodeAddr::new(host, port))
            .find(|addr| !self.doors.contains_key(addr))
            .ok_or_else(|| io::ErrorKind::AddrInUse.into())
    }

    fn connect(&mut self, from: &NodeAddr, to: &NodeAddr) -> io::Result<Pipe> {
        let door = self.doors.get(to).ok_or(io::ErrorKind::ConnectionRefused)?;
        let gate = Arc::new(Gate::default());
        let (near, far) = duplex(PIPE_BYTES);
        let far = Pipe::new(far, gate.clone());
        door.send((far, from.to_string()))
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        self.gates.retain(|(.., gate)| gate.strong_count() > 0);
        self.gates
            .push((from.clone(), to.clone(), Arc::downgrade(&gate)));
        Ok(Pipe::new(near, gate))
    }

    fn each_gate(&mut self, a: &NodeAddr, b: &NodeAddr, change: impl Fn(&Gate)) {
        for (from, to, gate) in &self.gates {
            if pair(from, to) == pair(a, b)
                && let Some(gate) = gate.upgrade()
            {
                change(&gate);
            }
        }
    }
}

fn pair(a: &NodeAddr, b: &NodeAddr) -> (NodeAddr, NodeAddr) {
    (a.min(b).clone(), a.max(b).clone())
}

struct MemoryTransport {
    network: MemoryNetwork,
    own: OnceLock<NodeAddr>,
}

impl Transport for MemoryTransport {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let door = self.network.listen(addr).map(|door| {
            self.own.get_or_init(|| door.addr.clone());
            Box::new(door) as Box<dyn Listener>
        });
        Box::pin(async { door })
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let to = addr.clone();
        Box::pin(async move {
            let nobody = NodeAddr::new("nobody", 0);
            let from = self.own.get().unwrap_or(&nobody);
            let pipe = self.network.connect(from, &to).await?;
            Ok(Box::new(pipe) as Box<dyn Stream>)
        })
    }
}

struct MemoryDoor {
    network: MemoryNetwork,
    addr: NodeAddr,
    queue: mpsc::UnboundedReceiver<(Pipe, String)>,
}

impl Listener for MemoryDoor {
    fn addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Opening, String)>> {
        Box::pin(async {
            let next = self.queue.recv().await;
            let (pipe, from) = next.expect("the network keeps the sender while the door is open");
            let stream = Box::new(pipe) as Box<dyn Stream>;
            Ok((ready(Ok(stream)).boxed(), from))
        })
    }
}

impl Drop for MemoryDoor {
    fn drop(&mut self) {
        self.network.state().doors.remove(&self.addr);
    }
}
