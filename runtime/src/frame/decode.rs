//! Reading frames, from bytes that may be anything.
//!
//! The decoder is incremental: the caller appends what it read to a buffer and asks for the next
//! frame until there is none. It never grows the buffer, and what it returns is no larger than the
//! frame it came from. Any error is final for the connection.

use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::{
    Control, Frame, Parcel, Wire,
    wire::{FIRST_NUMBERED, extra, kind},
};
use crate::{
    error::Undeliverable,
    pid::{AnyPid, NodeAddr, is_name},
    trace::TraceContext,
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
}

impl Decoder {
    /// A decoder for frames of at most `limit` bytes that are addressed to the node `own`.
    pub(crate) fn new(own: NodeAddr, limit: usize) -> Self {
        Self {
            own,
            limit,
            actors: Names::new(is_name),
            messages: Names::new(|_| true),
        }
    }

    /// Takes the first frame out of `buffer`, or nothing when it is not whole yet.
    ///
    /// # Errors
    /// [`FrameError`]; the bytes that follow are then meaningless.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Wire>, FrameError> {
        loop {
            let Some(bytes) = self.whole(buffer)? else {
                return Ok(None);
            };
            let wire = self.read(buffer[4], &buffer[5..4 + bytes]);
            buffer.advance(4 + bytes);
            if let Some(wire) = wire? {
                return Ok(Some(wire));
            }
        }
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

    /// `None` for control frames of unknown kinds, which are skipped.
    fn read(&mut self, kind: u8, body: &[u8]) -> Result<Option<Wire>, FrameError> {
        let mut body = Body { kind, rest: body };
        if kind < FIRST_NUMBERED {
            return Ok(control(&mut body)?.map(Wire::Control));
        }
        let frame = match kind {
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
            _ => return Ok(Some(Wire::UnknownNumbered(kind))),
        };
        Ok(Some(Wire::Frame(frame)))
    }

    fn parcel(&mut self, body: &mut Body<'_>) -> Result<Parcel, FrameError> {
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
        Ok(Parcel {
            to,
            name,
            version,
            trace: header.trace(),
            body: body.rest.to_vec(),
        })
    }
}

fn control(body: &mut Body<'_>) -> Result<Option<Control>, FrameError> {
    Ok(Some(match body.kind {
        kind::HELLO => Control::Hello(body.map("hello")?),
        kind::REJECT => Control::Reject(String::from_utf8_lossy(body.rest).into_owned()),
        kind::START => Control::Start,
        kind::RESUME => Control::Resume {
            first: body.u64("number")?,
        },
        kind::ACK => Control::Ack {
            received: body.u64("number")?,
        },
        kind::PING => Control::Ping {
            received: body.u64("number")?,
        },
        kind::PONG => Control::Pong {
            received: body.u64("number")?,
        },
        kind::GOODBYE => Control::Goodbye,
        kind::CHALLENGE => Control::Challenge(body.array("number")?),
        kind::PROOF => Control::Proof(body.rest.to_vec()),
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

    fn u64(&mut self, part: &'static str) -> Result<u64, FrameError> {
        self.array(part).map(u64::from_be_bytes)
    }

    /// Bytes after their number.
    fn counted(&mut self, part: &'static str) -> Result<&'a [u8], FrameError> {
        let length = self.u16(part)?;
        self.take(length.into(), part)
    }

    /// The trace context among the extras of a header. What cannot be read is skipped.
    fn trace(&mut self) -> Option<Box<TraceContext>> {
        while let Some((&[tag, length], rest)) = self.rest.split_first_chunk::<2>() {
            let (value, rest) = rest.split_at_checked(length.into())?;
            self.rest = rest;
            if tag == extra::TRACE {
                return TraceContext::from_bytes(value).map(Box::new);
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
