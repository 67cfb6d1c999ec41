//! Reading frames, from bytes that may be anything.
//!
//! The decoder is incremental: the caller appends what it read to a buffer and asks for the next
//! frame until there is none. It never grows the buffer, and what it returns is no larger than the
//! frame it came from; messages are lent from the buffer. Any error is final for the connection.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::{
    Control, Frame, Head, Parcel, Refusal, Wire,
    encode::{ASKS, TRACED},
    wire::{Arrived, FIRST_NUMBERED, extra, kind},
};
use crate::{
    error::Undeliverable,
    pid::{AnyPid, NodeAddr, is_name},
    trace::{BINARY_BYTES, TraceContext},
};

mod names;
use names::Names;

/// Why bytes are not frames. The text completes "sent a frame that".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Longer than allowed.
    #[error("has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Without even a kind.
    #[error("is empty")]
    Empty,
    /// The body is not what the kind says.
    #[error("is corrupt (kind {kind}, bad {part})")]
    Corrupt {
        /// The kind byte.
        kind: u8,
        /// What could not be read.
        part: &'static str,
    },
}

/// Takes frames out of a buffer.
pub(crate) struct Decoder {
    own: NodeAddr,
    limit: usize,
    actors: Names,
    messages: Names,
    /// Bytes of the frame that was lent last.
    lent: usize,
}

impl Decoder {
    /// A decoder for frames of at most `limit` bytes that are addressed to the node `own`.
    pub(crate) fn new(own: NodeAddr, limit: usize) -> Self {
        Self {
            own,
            limit,
            actors: Names::new(is_name),
            messages: Names::new(|_| true),
            lent: 0,
        }
    }

    /// Takes the first frame out of `buffer`, or nothing when it is not whole yet. A numbered frame
    /// leaves the buffer with the next call.
    ///
    /// # Errors
    /// [`FrameError`]; the bytes that follow are then meaningless.
    pub(crate) fn next<'b>(
        &mut self,
        buffer: &'b mut BytesMut,
    ) -> Result<Option<Wire<'b>>, FrameError> {
        buffer.advance(std::mem::take(&mut self.lent));
        loop {
            let Some(bytes) = self.whole(buffer)? else {
                return Ok(None);
            };
            let kind = buffer[4];
            if kind >= FIRST_NUMBERED {
                self.lent = 4 + bytes;
                return self.numbered(kind, &buffer[5..4 + bytes]).map(Some);
            }
            let rest = &buffer[5..4 + bytes];
            let control = control(&mut Body { kind, rest });
            buffer.advance(4 + bytes);
            if let Some(control) = control? {
                return Ok(Some(Wire::Control(control)));
            }
        }
    }

    /// The bytes on the wire of the numbered frame that was returned last.
    pub(crate) fn last_bytes(&self) -> usize {
        self.lent
    }

    /// Reads a frame that came in chunks, kind and body.
    ///
    /// # Errors
    /// [`FrameError`], also for a frame that never comes in chunks.
    pub(crate) fn assembled(&mut self, bytes: Vec<u8>) -> Result<Assembled, FrameError> {
        let Some((&kind, rest)) = bytes.split_first() else {
            return Err(FrameError::Empty);
        };
        let mut body = Body { kind, rest };
        let ask = match kind {
            kind::TELL => None,
            kind::ASK => Some(body.u64("id")?),
            kind::REPLY => {
                let (id, result) = (body.u64("id")?, answer(&mut body)?);
                return Ok(Assembled::Frame(Frame::Reply { id, result }));
            }
            _ => return Err(body.corrupt("kind in chunks")),
        };
        let (to, name, version, trace) = self.label(&mut body)?;
        let at = bytes.len() - body.rest.len();
        Ok(Assembled::Message(Large {
            to,
            name,
            version,
            ask,
            trace,
            at,
            bytes,
        }))
    }

    /// The length of the first frame, when it is there.
    fn whole(&self, buffer: &BytesMut) -> Result<Option<usize>, FrameError> {
        let Some(length) = buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes == 0 {
            return Err(FrameError::Empty);
        }
        if bytes > self.limit {
            return Err(FrameError::TooLarge {
                bytes,
                limit: self.limit,
            });
        }
        Ok((buffer.len() - 4 >= bytes).then_some(bytes))
    }

    fn numbered<'b>(&mut self, kind: u8, rest: &'b [u8]) -> Result<Wire<'b>, FrameError> {
        let mut body = Body { kind, rest };
        let frame = match kind {
            kind::MESSAGE => return message(&mut body),
            kind::TELL => Frame::Tell(self.parcel(&mut body)?),
            kind::ASK => Frame::Ask {
                id: body.u64("id")?,
                parcel: self.parcel(&mut body)?,
            },
            kind::REPLY => Frame::Reply {
                id: body.u64("id")?,
                result: answer(&mut body)?,
            },
            kind::MONITOR => Frame::Monitor {
                target: body.pid()?,
            },
            kind::DEMONITOR => Frame::Demonitor {
                target: body.pid()?,
            },
            kind::EXITED => Frame::Exited {
                target: body.pid()?,
                reason: body.last("reason")?,
            },
            kind::LINK => Frame::Link {
                watcher: body.pid()?,
                target: body.pid()?,
            },
            kind::UNLINK => Frame::Unlink {
                watcher: body.pid()?,
                target: body.pid()?,
            },
            kind::REFUSED => Frame::Refused(Refusal {
                to: body.pid()?,
                version: body.u16("version")?,
                name: text(body.counted("message name")?, &body)?.into(),
                reason: body.map("reason")?,
            }),
            _ => return table_or_bulk(&mut body),
        };
        Ok(Wire::Frame(frame))
    }

    fn parcel(&mut self, body: &mut Body<'_>) -> Result<Parcel, FrameError> {
        let (to, name, version, trace) = self.label(body)?;
        Ok(Parcel {
            trace: trace.map(Box::new),
            to,
            name,
            version,
            body: body.rest.to_vec(),
        })
    }

    fn label(&mut self, body: &mut Body<'_>) -> Result<Label, FrameError> {
        let length = body.u16("header length")?;
        let mut header = Body {
            kind: body.kind,
            rest: body.take(length.into(), "header")?,
        };
        let incarnation = header.u64("incarnation")?;
        let version = header.u16("version")?;
        let (to, name) = (
            header.counted("actor name")?,
            header.counted("message name")?,
        );
        let to = self.actors.intern(to).ok_or(body.corrupt("actor name"))?;
        let name = self
            .messages
            .intern(name)
            .ok_or(body.corrupt("message name"))?;
        let to = AnyPid::of_incarnation(to, self.own.clone(), incarnation);
        Ok((to, name, version, header.trace()))
    }
}

/// To whom, which type and version, and in which trace.
type Label = (AnyPid, Arc<str>, u16, Option<TraceContext>);

/// A frame that came in chunks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Assembled {
    Message(Large),
    Frame(Frame),
}

/// A large message, with its body where it arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Large {
    pub(crate) to: AnyPid,
    pub(crate) name: Arc<str>,
    pub(crate) version: u16,
    pub(crate) ask: Option<u64>,
    pub(crate) trace: Option<TraceContext>,
    at: usize,
    bytes: Vec<u8>,
}

impl Large {
    /// The message.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn message<'b>(body: &mut Body<'b>) -> Result<Wire<'b>, FrameError> {
    let flags = body.take(1, "flags")?[0];
    let (actor, kind) = (body.u32("actor")?, body.u32("type")?);
    if flags & !(ASKS | TRACED) != 0 {
        return Err(body.corrupt("flags"));
    }
    let ask = match flags & ASKS {
        0 => None,
        _ => Some(body.u64("id")?),
    };
    let trace = match flags & TRACED {
        0 => None,
        _ => TraceContext::from_bytes(body.take(BINARY_BYTES, "trace")?),
    };
    let head = Head {
        actor,
        kind,
        ask,
        trace,
    };
    Ok(Wire::Message(head, body.rest))
}

fn table_or_bulk<'b>(body: &mut Body<'b>) -> Result<Wire<'b>, FrameError> {
    Ok(match body.kind {
        kind::ACTOR => Wire::Actor {
            id: body.u32("id")?,
            incarnation: body.u64("incarnation")?,
            name: actor_name(body)?,
        },
        kind::TYPE => Wire::Type {
            id: body.u32("id")?,
            version: body.u16("version")?,
            name: text(body.rest, body)?,
        },
        kind::FORGET => Wire::Forget,
        kind::ANNOUNCE => Wire::Announce {
            transfer: body.u64("transfer")?,
            actor: actor_name(body)?,
        },
        kind::CHUNK => Wire::Chunk {
            transfer: body.u64("transfer")?,
            total: body.u64("total")?,
            bytes: body.rest,
        },
        unknown => Wire::UnknownNumbered(unknown),
    })
}

fn actor_name<'b>(body: &Body<'b>) -> Result<&'b str, FrameError> {
    let name = text(body.rest, body)?;
    is_name(name)
        .then_some(name)
        .ok_or(body.corrupt("actor name"))
}

fn text<'b>(bytes: &'b [u8], body: &Body<'_>) -> Result<&'b str, FrameError> {
    std::str::from_utf8(bytes).map_err(|_| body.corrupt("text"))
}

fn control(body: &mut Body<'_>) -> Result<Option<Control>, FrameError> {
    Ok(Some(match body.kind {
        kind::HELLO => Control::Hello(body.map("hello")?),
        kind::REJECT => Control::Reject(String::from_utf8_lossy(body.rest).into_owned()),
        kind::START => Control::Start,
        kind::RESUME => Control::Resume {
            first: body.u64("number")?,
        },
        kind::ACK => Control::Ack(body.arrived()?),
        kind::PING => Control::Ping(body.arrived()?),
        kind::PONG => Control::Pong(body.arrived()?),
        kind::GOODBYE => Control::Goodbye,
        kind::CHALLENGE => Control::Challenge(body.array("number")?),
        kind::PROOF => Control::Proof(body.rest.to_vec()),
        kind::HOLD => Control::Hold(actor_name(body)?.to_owned()),
        kind::RELEASE => Control::Release(actor_name(body)?.to_owned()),
        kind::WANT_BULK => Control::WantBulk,
        _ => return Ok(None),
    }))
}

fn answer(body: &mut Body<'_>) -> Result<Result<ByteBuf, Option<Undeliverable>>, FrameError> {
    Ok(match body.take(1, "result")?[0] {
        0 => Ok(ByteBuf::from(body.rest)),
        1 => Err(None),
        // A refusal for a reason that only a newer node knows is a refusal all the same.
        2 => Err(Some(body.map("reason").unwrap_or_else(|_| {
            Undeliverable::Codec("refused for a reason that this node does not know".into())
        }))),
        _ => return Err(body.corrupt("result")),
    })
}

/// The unread rest of a frame's body.
struct Body<'a> {
    kind: u8,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn corrupt(&self, part: &'static str) -> FrameError {
        FrameError::Corrupt {
            kind: self.kind,
            part,
        }
    }

    fn take(&mut self, bytes: usize, part: &'static str) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(self.corrupt(part))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(self.corrupt(part))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self, part: &'static str) -> Result<u16, FrameError> {
        self.array(part).map(u16::from_be_bytes)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, FrameError> {
        self.array(part).map(u32::from_be_bytes)
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, FrameError> {
        self.array(part).map(u64::from_be_bytes)
    }

    fn arrived(&mut self) -> Result<Arrived, FrameError> {
        Ok(Arrived {
            received: self.u64("number")?,
            consumed: match self.rest {
                [] => None,
                _ => Some(self.u64("credit")?),
            },
        })
    }

    /// Bytes after their number.
    fn counted(&mut self, part: &'static str) -> Result<&'a [u8], FrameError> {
        let length = self.u16(part)?;
        self.take(length.into(), part)
    }

    /// The trace context among the extras of a header. What cannot be read is skipped.
    fn trace(&mut self) -> Option<TraceContext> {
        while let Some((&[tag, length], rest)) = self.rest.split_first_chunk::<2>() {
            let (value, rest) = rest.split_at_checked(length.into())?;
            self.rest = rest;
            if tag == extra::TRACE {
                return TraceContext::from_bytes(value);
            }
        }
        None
    }

    fn pid(&mut self) -> Result<AnyPid, FrameError> {
        let text = std::str::from_utf8(self.counted("PID")?).ok();
        text.and_then(|text| text.parse().ok())
            .ok_or(self.corrupt("PID"))
    }

    /// The last of one or more values, each better than the one before for whoever can read it.
    fn last<T: DeserializeOwned>(&mut self, part: &'static str) -> Result<T, FrameError> {
        let mut read = None;
        while !self.rest.is_empty() {
            let mut values = rmp_serde::Deserializer::new(&mut self.rest);
            match T::deserialize(&mut values) {
                Ok(value) => read = Some(value),
                Err(_) => break,
            }
        }
        read.ok_or(self.corrupt(part))
    }

    fn map<T: DeserializeOwned>(&mut self, part: &'static str) -> Result<T, FrameError> {
        rmp_serde::from_slice(self.rest).map_err(|_| self.corrupt(part))
    }
}
