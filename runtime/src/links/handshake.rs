//! How two nodes introduce themselves on a new connection.
//!
//! ```text
//! dialler                         acceptor
//!    | TEPUI min max, Hello  ------->|
//!    |<-------  TEPUI min max        |  (once the first bytes are ours)
//!    |<-------  Hello                |  (after the dialler's)
//!    | Start, frames         ------->|  the connection counts from here on
//!    |<-------  frames               |
//! ```
//!
//! Without `Start` nothing has changed at the acceptor, so a dialler may drop the connection when
//! it no longer needs it. Whoever refuses says why in a `Reject` before it closes.

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    core::{Core, Hold},
    problem::{DialFailure, Problem, plain},
    sniff::{Speaks, sniff},
};
use crate::{
    frame::{
        Control, Decoder, Hello, Preamble, Wire, encode_control,
        wire::{MAGIC, PREAMBLE_BYTES},
    },
    http::Visit,
    pid::NodeAddr,
    transport::{ReadHalf, Stream, WriteHalf},
};

/// No Hello is longer than this.
const HELLO_BYTES_MAX: usize = 4096;

/// A connection whose ends know each other.
pub(super) struct Greeted {
    /// What the peer said.
    pub(super) hello: Hello,
    /// The epoch that this node said.
    pub(super) epoch: u64,
    /// Whether this node dialled.
    pub(super) dialled: bool,
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
    /// What was read beyond the handshake.
    pub(super) buffer: BytesMut,
}

/// Dials `addr`, as the node that calls itself `epoch` there.
pub(super) async fn dial(core: &Core, addr: NodeAddr, epoch: u64) -> Result<Greeted, DialFailure> {
    let limit = core.config.connect_timeout;
    let stream = match timeout(limit, core.transport.connect(&addr)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(DialFailure::connect(&addr, &error)),
        Err(_) => return Err(DialFailure::no_answer(&addr, limit)),
    };
    let limit = core.config.handshake_timeout;
    match timeout(limit, introduce(core, &addr, epoch, stream)).await {
        Ok(greeted) => greeted.map_err(|problem| DialFailure::handshake(core, &addr, &problem)),
        Err(_) => Err(DialFailure::silent(&addr, limit)),
    }
}

async fn introduce(
    core: &Core,
    addr: &NodeAddr,
    epoch: u64,
    stream: Box<dyn Stream>,
) -> Result<Greeted, Problem> {
    let mut party = Party::new(core, stream);
    party.say_hello(core, addr.clone(), epoch, true).await?;
    party.expect_preamble(core).await?;
    let hello = party.expect_hello().await?;
    if let Err(problem) = check(core, &hello) {
        party.reject(&problem).await;
        return Err(problem);
    }
    Ok(party.greeted(hello, epoch, true))
}

/// Who connected.
pub(super) enum Caller {
    /// A node; the hold keeps its record until the connection is handed over.
    Peer(Greeted, Hold),
    /// A client of the node's pages and of its actors.
    Http(Visit),
}

/// Answers whoever connected `from` somewhere.
pub(super) async fn answer(
    core: &std::sync::Arc<Core>,
    stream: Box<dyn Stream>,
    from: &str,
) -> Result<Caller, Problem> {
    let mut party = Party::new(core, stream);
    if party.speaks().await? == Speaks::Http {
        return Ok(Caller::Http(party.visit(from)));
    }
    match party.answer(core).await {
        Ok((hello, hold)) => {
            let epoch = hold.peer().epoch();
            Ok(Caller::Peer(party.greeted(hello, epoch, false), hold))
        }
        Err(problem) => {
            party.reject(&problem).await;
            Err(problem)
        }
    }
}

/// Whether the peer can be one.
fn check(core: &Core, hello: &Hello) -> Result<(), Problem> {
    if hello.addr != core.own {
        Ok(())
    } else if hello.incarnation == core.config.incarnation {
        Err(Problem::Itself {
            own: core.own.clone(),
        })
    } else {
        Err(Problem::SameAddr {
            own: core.own.clone(),
        })
    }
}

/// This node's end of a handshake.
struct Party {
    read: ReadHalf,
    write: WriteHalf,
    buffer: BytesMut,
    decoder: Decoder,
}

impl Party {
    fn new(core: &Core, stream: Box<dyn Stream>) -> Self {
        let (read, write) = stream.into_split();
        let decoder = Decoder::new(core.own.clone(), HELLO_BYTES_MAX);
        Self {
            read,
            write,
            buffer: BytesMut::new(),
            decoder,
        }
    }

    fn greeted(self, hello: Hello, epoch: u64, dialled: bool) -> Greeted {
        Greeted {
            hello,
            epoch,
            dialled,
            read: self.read,
            write: self.write,
            buffer: self.buffer,
        }
    }

    async fn answer(&mut self, core: &std::sync::Arc<Core>) -> Result<(Hello, Hold), Problem> {
        self.write.write_all(&core.preamble().encode()).await?;
        self.expect_preamble(core).await?;
        let hello = self.expect_hello().await?;
        if let Err(problem) = check(core, &hello) {
            // The dialler finds the same, in its own words.
            self.say_hello(core, hello.addr, 0, false).await?;
            return Err(problem);
        }
        let hold = core.hold(&hello.addr).ok_or(Problem::Stopping)?;
        self.say_hello(core, hello.addr.clone(), hold.peer().epoch(), false)
            .await?;
        match self.next().await? {
            Control::Start => Ok((hello, hold)),
            other => Err(refusal(other)),
        }
    }

    /// What the other side speaks, by its first bytes. Nothing is said before they are there.
    async fn speaks(&mut self) -> Result<Speaks, Problem> {
        loop {
            match sniff(&self.buffer) {
                Speaks::Unclear => self.read_more().await?,
                clear => return Ok(clear),
            }
        }
    }

    fn visit(self, from: &str) -> Visit {
        Visit {
            read: self.read,
            write: self.write,
            first: self.buffer,
            from: from.to_owned(),
        }
    }

    async fn say_hello(
        &mut self,
        core: &Core,
        wanted: NodeAddr,
        epoch: u64,
        with_preamble: bool,
    ) -> Result<(), Problem> {
        let mut bytes = BytesMut::new();
        if with_preamble {
            bytes.extend_from_slice(&core.preamble().encode());
        }
        let incarnation = core.config.incarnation;
        let hello = Hello {
            addr: core.own.clone(),
            incarnation,
            wanted,
            epoch,
        };
        encode_control(&Control::Hello(hello), &mut bytes);
        Ok(self.write.write_all(&bytes).await?)
    }

    async fn expect_preamble(&mut self, core: &Core) -> Result<(), Problem> {
        loop {
            let seen = self.buffer.len().min(MAGIC.len());
            if self.buffer[..seen] != MAGIC[..seen] {
                return Err(self.not_tepui());
            }
            if let Some(bytes) = self.buffer.first_chunk::<PREAMBLE_BYTES>() {
                let theirs = Preamble::decode(bytes).expect("the magic was just compared");
                let ours = core.preamble();
                let _ = self.buffer.split_to(PREAMBLE_BYTES);
                return match ours.common(theirs) {
                    Some(_) => Ok(()),
                    None => Err(Problem::Version { theirs, ours }),
                };
            }
            self.read_more().await?;
        }
    }

    fn not_tepui(&self) -> Problem {
        let first = &self.buffer[..self.buffer.len().min(8)];
        Problem::WrongMagic {
            began: first.escape_ascii().to_string(),
        }
    }

    async fn expect_hello(&mut self) -> Result<Hello, Problem> {
        match self.next().await? {
            Control::Hello(hello) => Ok(hello),
            other => Err(refusal(other)),
        }
    }

    async fn next(&mut self) -> Result<Control, Problem> {
        loop {
            match self.decoder.next(&mut self.buffer)? {
                Some(Wire::Control(control)) => return Ok(control),
                Some(_) => return Err(Problem::OutOfTurn),
                None => self.read_more().await?,
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Problem> {
        match self.read.read_buf(&mut self.buffer).await? {
            0 => Err(Problem::Closed),
            _ => Ok(()),
        }
    }

    /// Tells the other side why, as far as it still listens.
    async fn reject(&mut self, problem: &Problem) {
        if matches!(
            problem,
            Problem::Closed | Problem::Io(_) | Problem::Rejected { .. }
        ) {
            return;
        }
        let mut bytes = BytesMut::new();
        encode_control(&Control::Reject(problem.to_peer()), &mut bytes);
        if let Err(error) = self.write.write_all(&bytes).await {
            tracing::debug!(
                error = plain(&error),
                "a peer was gone before it was told why"
            );
        }
        let _ = self.write.shutdown().await;
    }
}

fn refusal(control: Control) -> Problem {
    match control {
        Control::Reject(why) => Problem::Rejected { why },
        _ => Problem::OutOfTurn,
    }
}
