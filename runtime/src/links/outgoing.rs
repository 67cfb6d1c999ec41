//! What one life of a link sends: two numbered streams, the tables of names, and the transfers.
//!
//! Ordinary frames are encoded when they are sent, once, into the main stream. A message of more
//! than [`BULK_BYTES`] is a *transfer*: an announcement keeps its place in the main stream, and its
//! bytes go in chunks into the bulk stream, one transfer after the other. To a peer that speaks
//! version 1 everything goes into the main stream, with its names in full.

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};

use super::sent::{Next, Poke, Sent};
use super::table::Tables;
use crate::{
    frame::{
        Assembled, CHUNK_HEAD, Decoder, Frame, Head, Parcel, Wire, chunk_head, encode_announce,
        encode_forget, encode_frame, encode_message, message_prefix, reply_prefix,
        wire::{BULK, MAIN, WITH_TABLES},
    },
    pid::{AnyPid, NodeAddr},
    trace::TraceContext,
};

/// Messages with longer bodies are transfers.
pub(crate) const BULK_BYTES: usize = 64 * 1024;
/// Bytes of a transfer that go into one chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// A message on its way out.
pub(super) struct Letter<'a> {
    pub(super) to: &'a AnyPid,
    pub(super) name: &'a str,
    pub(super) version: u16,
    pub(super) ask: Option<u64>,
    pub(super) trace: Option<TraceContext>,
    /// Taken out when it is large.
    pub(super) body: &'a mut Vec<u8>,
    /// Where the number of the actor is remembered from one message to the next.
    pub(super) known: Option<&'a AtomicU64>,
}

impl Letter<'_> {
    /// The frame up to the message.
    fn prefix(&self) -> BytesMut {
        let trace = self.trace.as_ref();
        message_prefix(self.to, self.name, self.version, self.ask, trace)
    }
}

struct Transfer {
    id: u64,
    /// Kind, names and so on.
    prefix: Bytes,
    body: Bytes,
    /// Bytes of the body that are in chunks already.
    at: usize,
    /// It has no place in the main stream.
    loose: bool,
}

/// See the module.
pub(super) struct Outgoing {
    /// Different for each life and each beginning of the tables, so that a remembered number is
    /// known to be old.
    tag: u32,
    version: u16,
    tables: Tables,
    pub(super) lanes: [Sent; 2],
    transfers: VecDeque<Transfer>,
    next_transfer: u64,
    /// A connection for the transfers was asked for.
    bulk_wanted: bool,
}

/// The numbers by which remembered ones are told apart; from 1, so that zero is none.
static TAGS: AtomicU64 = AtomicU64::new(1);

fn next_tag() -> u32 {
    // After four thousand million lives a number may be mistaken for one of the first life.
    #[expect(clippy::cast_possible_truncation, reason = "as the comment says")]
    let tag = TAGS.fetch_add(1, Ordering::Relaxed) as u32;
    tag
}

impl Outgoing {
    /// For a peer that speaks `version` and grants `windows` on the two lanes.
    pub(super) fn new(version: u16, windows: [u64; 2]) -> Self {
        let by_acks = version < WITH_TABLES;
        Self {
            tag: next_tag(),
            version,
            tables: Tables::new(),
            lanes: windows.map(|window| Sent::new(window, by_acks)),
            transfers: VecDeque::new(),
            next_transfer: 0,
            bulk_wanted: false,
        }
    }

    /// Bytes that no writer has taken.
    pub(super) fn waiting(&self) -> usize {
        self.lanes[MAIN].waiting() + self.lanes[BULK].waiting()
    }

    /// Whether transfers wait for a connection that nobody makes yet; says so once.
    pub(super) fn wants_bulk(&mut self) -> bool {
        let wants = !self.transfers.is_empty() && self.lanes[BULK].connection().is_none();
        wants && !std::mem::replace(&mut self.bulk_wanted, true)
    }

    /// Whether a connection for transfers would have something to carry; the next want is said
    /// again.
    pub(super) fn needs_bulk(&mut self) -> bool {
        self.bulk_wanted = false;
        !self.transfers.is_empty() || !self.lanes[BULK].is_empty()
    }

    /// Encodes a message.
    pub(super) fn put(&mut self, letter: Letter<'_>) -> Poke {
        if self.version < WITH_TABLES {
            self.put_by_name(&letter);
        } else if letter.body.len() > BULK_BYTES {
            return self.put_transfer(letter);
        } else {
            match self.numbers(&letter) {
                Some((actor, kind)) => {
                    let head = Head {
                        actor,
                        kind,
                        ask: letter.ask,
                        trace: letter.trace,
                    };
                    self.lanes[MAIN].push(|out| {
                        encode_message(head, letter.body, out);
                        1
                    });
                }
                None => self.put_by_name(&letter),
            }
        }
        self.lanes[MAIN].poke()
    }

    fn put_by_name(&mut self, letter: &Letter<'_>) {
        let prefix = letter.prefix();
        self.lanes[MAIN].push(|out| {
            let bytes = prefix.len() + letter.body.len();
            let bytes = u32::try_from(bytes).expect("a frame's weight is checked before");
            out.extend_from_slice(&bytes.to_be_bytes());
            out.extend_from_slice(&prefix);
            out.extend_from_slice(letter.body);
            1
        });
    }

    fn numbers(&mut self, letter: &Letter<'_>) -> Option<(u32, u32)> {
        let tag = u64::from(self.tag);
        let known = letter.known.map(|known| known.load(Ordering::Relaxed));
        let known = known.filter(|known| known >> 32 == tag);
        #[expect(clippy::cast_possible_truncation, reason = "the upper half is the tag")]
        let known = known.map(|known| known as u32);
        let recalled = self.tables.recall(letter.name, letter.version);
        if let (Some(actor), Some(kind)) = (known, recalled) {
            return Some((actor, kind));
        }
        let tables = &mut self.tables;
        let mut found = None;
        self.lanes[MAIN].push(|out| {
            let mut added = 0;
            let actor = known.or_else(|| tables.actor(letter.to, out, &mut added));
            let kind = tables.kind(letter.name, letter.version, out, &mut added);
            found = actor.zip(kind);
            added
        });
        match found {
            Some((actor, _)) if known.is_none() => {
                if let Some(known) = letter.known {
                    known.store(tag << 32 | u64::from(actor), Ordering::Relaxed);
                }
            }
            Some(_) => {}
            None => self.forget(),
        }
        found
    }

    /// Begins the tables anew, for the messages that follow, if nothing waits that refers to them.
    fn forget(&mut self) {
        if self.lanes[MAIN].is_drained() {
            self.tables = Tables::new();
            self.tag = next_tag();
            self.lanes[MAIN].push(|out| {
                encode_forget(out);
                1
            });
        }
    }

    fn put_transfer(&mut self, letter: Letter<'_>) -> Poke {
        let prefix = letter.prefix();
        let body = std::mem::take(letter.body);
        let id = self.begin_transfer(prefix.freeze(), body, false);
        self.lanes[MAIN].push(|out| {
            encode_announce(id, letter.to.name(), out);
            1
        });
        let bulk = self.lanes[BULK].poke();
        self.lanes[MAIN].poke().and(bulk)
    }

    fn begin_transfer(&mut self, prefix: Bytes, body: Vec<u8>, loose: bool) -> u64 {
        let id = self.next_transfer;
        self.next_transfer += 1;
        let body = Bytes::from(body);
        self.lanes[BULK].expect(prefix.len() + body.len());
        let at = 0;
        self.transfers.push_back(Transfer {
            id,
            prefix,
            body,
            at,
            loose,
        });
        id
    }

    /// Encodes a frame that is complete in itself.
    pub(super) fn put_frame(&mut self, frame: Frame) -> Poke {
        if !frame.is_known_in(self.version) {
            return Poke::Nothing;
        }
        let (ask, mut parcel) = match frame {
            Frame::Tell(parcel) => (None, parcel),
            Frame::Ask { id, parcel } => (Some(id), parcel),
            Frame::Reply {
                id,
                result: Ok(body),
            } if self.version >= WITH_TABLES && body.len() > BULK_BYTES => {
                self.begin_transfer(reply_prefix(id).freeze(), body.into_vec(), true);
                return self.lanes[BULK].poke();
            }
            other => {
                self.lanes[MAIN].push(|out| {
                    encode_frame(&other, out);
                    1
                });
                return self.lanes[MAIN].poke();
            }
        };
        self.put(Letter {
            to: &parcel.to,
            name: &parcel.name,
            version: parcel.version,
            ask,
            trace: parcel.trace.as_deref().copied(),
            body: &mut parcel.body,
            known: None,
        })
    }

    /// What the writer of `lane` writes next.
    pub(super) fn next(&mut self, lane: usize) -> Option<Next> {
        if lane == BULK && self.lanes[BULK].is_drained() && !self.lanes[BULK].is_stalled() {
            self.cut();
        }
        self.lanes[lane].next()
    }

    /// Cuts the next chunk off the first transfer.
    fn cut(&mut self) {
        let Some(transfer) = self.transfers.front_mut() else {
            return;
        };
        let end = (transfer.at + CHUNK_BYTES).min(transfer.body.len());
        let part = transfer.body.slice(transfer.at..end);
        let prefix = if transfer.at == 0 {
            transfer.prefix.clone()
        } else {
            Bytes::new()
        };
        let total = (transfer.prefix.len() + transfer.body.len()) as u64;
        let bytes = prefix.len() + part.len();
        let mut head = BytesMut::with_capacity(CHUNK_HEAD + prefix.len());
        head.extend_from_slice(&chunk_head(transfer.id, total, bytes));
        head.extend_from_slice(&prefix);
        transfer.at = end;
        let done = end == transfer.body.len();
        self.lanes[BULK].unexpect(bytes);
        self.lanes[BULK].push_chunk(head.freeze(), part);
        if done {
            self.transfers.pop_front();
        }
    }

    /// Ends the life: the frames that cannot have arrived, in their order. Transfers of which a
    /// part was written are among them, first.
    pub(super) fn end(mut self, peer: &NodeAddr) -> Vec<Frame> {
        let mut bytes = self.lanes[MAIN].unwritten();
        let mut decoder = Decoder::new(peer.clone(), usize::MAX);
        let mut announced = Vec::new();
        let mut frames = Vec::new();
        while let Ok(Some(wire)) = decoder.next(&mut bytes) {
            match wire {
                Wire::Frame(frame) => frames.push(Ok(frame)),
                Wire::Message(head, body) => frames.extend(self.parcel(head, body, peer).map(Ok)),
                Wire::Announce { transfer, .. } => {
                    announced.push(transfer);
                    frames.push(Err(transfer));
                }
                _ => {}
            }
        }
        let mut transfers: VecDeque<Transfer> = std::mem::take(&mut self.transfers);
        let mut out: Vec<Frame> = Vec::new();
        let early = |t: &Transfer| !t.loose && !announced.contains(&t.id);
        out.extend(
            transfers
                .iter()
                .filter(|t| early(t) || t.loose)
                .filter_map(|t| t.frame(&mut decoder)),
        );
        for frame in frames {
            match frame {
                Ok(frame) => out.push(frame),
                Err(id) => {
                    let at = transfers.iter().position(|transfer| transfer.id == id);
                    let transfer = at.and_then(|at| transfers.remove(at));
                    out.extend(transfer.and_then(|transfer| transfer.frame(&mut decoder)));
                }
            }
        }
        out
    }

    fn parcel(&self, head: Head, body: &[u8], peer: &NodeAddr) -> Option<Frame> {
        let ((actor, incarnation), (name, version)) = self.tables.names(head.actor, head.kind)?;
        let to = AnyPid::of_incarnation(Arc::clone(actor), peer.clone(), *incarnation);
        let parcel = Parcel {
            to,
            name: Arc::clone(name),
            version: *version,
            trace: head.trace.map(Box::new),
            body: body.to_vec(),
        };
        Some(match head.ask {
            Some(id) => Frame::Ask { id, parcel },
            None => Frame::Tell(parcel),
        })
    }
}

impl Transfer {
    fn frame(&self, decoder: &mut Decoder) -> Option<Frame> {
        let bytes = [&self.prefix[..], &self.body[..]].concat();
        match decoder.assembled(bytes).ok()? {
            Assembled::Frame(frame) => Some(frame),
            Assembled::Message(large) => {
                let parcel = Parcel {
                    to: large.to.clone(),
                    name: large.name.clone(),
                    version: large.version,
                    trace: large.trace.map(Box::new),
                    body: large.body().to_vec(),
                };
                Some(match large.ask {
                    Some(id) => Frame::Ask { id, parcel },
                    None => Frame::Tell(parcel),
                })
            }
        }
    }
}
