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
//!
//! Where the transport shows a certificate, the address in a Hello must be one that it is for. Nodes
//! that share a [secret](crate::secret) ask each other for a proof where there is no certificate:
//! a `Challenge` goes before each Hello, the acceptor's `Proof` before its own, the dialler's before
//! `Start`.

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
        wire::{BULK, MAGIC, MAIN, PREAMBLE_BYTES},
    },
    http::Visit,
    pid::NodeAddr,
    secret::{Meeting, Nonce, Secret, Side, nonce},
    transport::{Certificate, ReadHalf, Stream, WriteHalf},
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
    /// What the connection is for.
    pub(super) lane: usize,
    /// The protocol version that both speak.
    pub(super) version: u16,
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
    /// What was read beyond the handshake.
    pub(super) buffer: BytesMut,
}

/// Dials `addr`, as the node that calls itself `epoch` there, for `lane`.
pub(super) async fn dial(
    core: &Core,
    addr: NodeAddr,
    epoch: u64,
    lane: usize,
) -> Result<Greeted, DialFailure> {
    if addr.is_door() && core.config.secret.is_none() {
        return Err(DialFailure::handshake(core, &addr, &Problem::NoSecret));
    }
    let limit = core.config.connect_timeout;
    let stream = match timeout(limit, core.transport.connect(&addr)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(DialFailure::connect(core, &addr, error)),
        Err(_) => return Err(DialFailure::no_answer(&addr, limit)),
    };
    let limit = core.config.handshake_timeout;
    match timeout(limit, introduce(core, &addr, epoch, lane, stream)).await {
        Ok(greeted) => greeted.map_err(|problem| DialFailure::handshake(core, &addr, &problem)),
        Err(_) => Err(DialFailure::silent(&addr, limit)),
    }
}

async fn introduce(
    core: &Core,
    addr: &NodeAddr,
    epoch: u64,
    lane: usize,
    stream: Box<dyn Stream>,
) -> Result<Greeted, Problem> {
    let mut party = Party::new(core, stream)?;
    party.lane = lane;
    party.say_hello(core, addr.clone(), epoch, true).await?;
    party.expect_preamble(core).await?;
    let hello = party.expect_hello().await?;
    let trusted = party
        .check_identity(core, &hello)
        .and_then(|()| check_addr(core, &hello))
        .and_then(|()| party.check_proof(core, Side::Acceptor, &hello));
    if let Err(problem) = trusted {
        party.reject(&problem).await;
        return Err(problem);
    }
    party.prove(core, &hello).await?;
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
    let mut party = Party::new(core, stream)?;
    if party.speaks().await? == Speaks::Http {
        // Whoever has to prove something cannot do it over HTTP.
        return match party.challenge {
            Some(_) => Err(Problem::Unproven),
            None => Ok(Caller::Http(party.visit(from))),
        };
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
fn check_addr(core: &Core, hello: &Hello) -> Result<(), Problem> {
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
    lane: usize,
    version: u16,
    /// What the transport has proven of the peer.
    certificate: Option<Certificate>,
    /// What this node wants proven where the transport proves nothing.
    challenge: Option<Challenge>,
    /// The peer's challenge, and its answer to this node's.
    theirs: (Option<Nonce>, Vec<u8>),
}

/// A secret, and the number that the peer is to answer.
struct Challenge {
    secret: Secret,
    nonce: Nonce,
}

impl Party {
    fn new(core: &Core, stream: Box<dyn Stream>) -> Result<Self, Problem> {
        let certificate = stream.certificate().cloned();
        let challenge = match (&certificate, &core.config.secret) {
            (None, Some(secret)) => Some(Challenge {
                secret: secret.clone(),
                nonce: nonce()?,
            }),
            _ => None,
        };
        let (read, write) = stream.into_split();
        let decoder = Decoder::new(core.own.clone(), HELLO_BYTES_MAX);
        Ok(Self {
            read,
            write,
            buffer: BytesMut::new(),
            decoder,
            lane: MAIN,
            version: 0,
            certificate,
            challenge,
            theirs: (None, Vec::new()),
        })
    }

    /// Whether the peer can be who it says it is.
    fn check_identity(&self, core: &Core, hello: &Hello) -> Result<(), Problem> {
        let addr = hello.addr.clone();
        let either_behind = addr.is_door() || core.own.is_door();
        match (&self.certificate, &self.challenge) {
            (Some(certificate), _) => certificate
                .check(hello.addr.host())
                .map_err(|wrong| Problem::WrongHost { addr, wrong }),
            (None, Some(_)) if !either_behind => Err(Problem::NotBehindDoor { addr }),
            (None, Some(_)) if self.theirs.0.is_none() => Err(Problem::Unproven),
            (None, _) => Ok(()),
        }
    }

    /// Whether the peer, as `side`, knows the secret; true where none is asked for.
    fn check_proof(&self, core: &Core, side: Side, hello: &Hello) -> Result<(), Problem> {
        let Some(challenge) = &self.challenge else {
            return Ok(());
        };
        let (theirs, proof) = &self.theirs;
        let theirs = theirs.as_ref().ok_or(Problem::Unproven)?;
        let (ours, theirs) = ((&core.own, &challenge.nonce), (&hello.addr, theirs));
        let meeting = match side {
            Side::Acceptor => Meeting::of(ours, theirs),
            Side::Dialler => Meeting::of(theirs, ours),
        };
        if challenge.secret.holds(side, meeting, proof) {
            Ok(())
        } else {
            Err(Problem::Unproven)
        }
    }

    /// What this node answers to the peer's challenge, as `side`.
    fn answer_to(&self, core: &Core, side: Side, peer: &NodeAddr) -> Option<Control> {
        let challenge = self.challenge.as_ref()?;
        let theirs = (peer, self.theirs.0.as_ref()?);
        let ours = (&core.own, &challenge.nonce);
        let meeting = match side {
            Side::Acceptor => Meeting::of(theirs, ours),
            Side::Dialler => Meeting::of(ours, theirs),
        };
        Some(Control::Proof(challenge.secret.prove(side, meeting)))
    }

    /// As the dialler.
    async fn prove(&mut self, core: &Core, hello: &Hello) -> Result<(), Problem> {
        let Some(proof) = self.answer_to(core, Side::Dialler, &hello.addr) else {
            return Ok(());
        };
        let mut bytes = BytesMut::new();
        encode_control(&proof, &mut bytes);
        Ok(self.write.write_all(&bytes).await?)
    }

    fn greeted(self, hello: Hello, epoch: u64, dialled: bool) -> Greeted {
        Greeted {
            hello,
            epoch,
            dialled,
            lane: self.lane,
            version: self.version,
            read: self.read,
            write: self.write,
            buffer: self.buffer,
        }
    }

    async fn answer(&mut self, core: &std::sync::Arc<Core>) -> Result<(Hello, Hold), Problem> {
        self.write.write_all(&core.preamble().encode()).await?;
        self.expect_preamble(core).await?;
        let hello = self.expect_hello().await?;
        self.lane = usize::from(hello.lane);
        if self.lane > BULK {
            return Err(Problem::Lane { lane: hello.lane });
        }
        self.check_identity(core, &hello)?;
        if let Err(problem) = check_addr(core, &hello) {
            // The dialler finds the same, in its own words.
            self.say_hello(core, hello.addr, 0, false).await?;
            return Err(problem);
        }
        let hold = core.hold(&hello.addr).ok_or(Problem::Stopping)?;
        self.say_hello(core, hello.addr.clone(), hold.peer().epoch(), false)
            .await?;
        match self.next().await? {
            Control::Start => self
                .check_proof(core, Side::Dialler, &hello)
                .map(|()| (hello, hold)),
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
        if let Some(challenge) = &self.challenge {
            encode_control(&Control::Challenge(challenge.nonce), &mut bytes);
        }
        // An acceptor knows the peer's challenge by now; a dialler does not.
        if let Some(proof) = self.answer_to(core, Side::Acceptor, &wanted) {
            encode_control(&proof, &mut bytes);
        }
        let incarnation = core.config.incarnation;
        let hello = Hello {
            addr: core.own.clone(),
            incarnation,
            wanted,
            epoch,
            lane: u8::try_from(self.lane).unwrap_or(u8::MAX),
            windows: core.config.windows.map(|window| window as u64),
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
                    Some(version) => {
                        self.version = version;
                        Ok(())
                    }
                    None => Err(Problem::Version { theirs, ours }),
                };
            }
            self.read_more().await?;
        }
    }

    fn not_tepui(&self) -> Problem {
        // The first bytes of a TLS handshake, and of the alert that a TLS node answers with.
        const TLS: [[u8; 2]; 2] = [[0x16, 3], [0x15, 3]];
        if TLS.iter().any(|tls| self.buffer.starts_with(tls)) {
            return Problem::SpeaksTls;
        }
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
                Some(Wire::Control(Control::Challenge(nonce))) => self.theirs.0 = Some(nonce),
                Some(Wire::Control(Control::Proof(proof))) => self.theirs.1 = proof,
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
