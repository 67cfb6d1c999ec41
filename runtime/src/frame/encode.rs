//! Writing frames.
//!
//! The body of `Tell` is `u16` header length, header, message; `Ask` and `Reply` have the `u64` id
//! in front. The header is `u64` incarnation of the actor, `u16` message version, `u16` length and
//! actor name, `u16` length and message name, and extras that a reader may skip: each `u8` tag,
//! `u8` length, and bytes.
//! From version 2 on, `Message` is one byte of flags (1: a question, 2: in a trace), `u32` actor and
//! `u32` type in the link's tables, the `u64` id of a question, the trace context, and the message. All numbers are big endian.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use super::{
    Control, Frame, Head, Parcel, Refusal,
    wire::{Arrived, TRACE_BYTES, extra, kind},
};
use crate::{
    error::Undeliverable,
    exit::ExitReason,
    pid::AnyPid,
    trace::{BINARY_BYTES, TraceContext},
};

/// The flags of a question, and of a message in a trace.
pub(super) const ASKS: u8 = 1;
pub(super) const TRACED: u8 = 2;
/// Bytes of a chunk before its part of the frame, with the length field.
pub(crate) const CHUNK_HEAD: usize = 4 + 1 + 8 + 8;

/// Appends `frame` to `out`.
pub(crate) fn encode_frame(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Tell(parcel) => framed(out, kind::TELL, |out| put_parcel(out, parcel)),
        Frame::Ask { id, parcel } => framed(out, kind::ASK, |out| {
            out.put_u64(*id);
            put_parcel(out, parcel);
        }),
        Frame::Reply { id, result } => framed(out, kind::REPLY, |out| {
            out.put_u64(*id);
            put_result(out, result);
        }),
        Frame::Monitor { target } => framed(out, kind::MONITOR, |out| put_pid(out, target)),
        Frame::Demonitor { target } => framed(out, kind::DEMONITOR, |out| put_pid(out, target)),
        Frame::Exited { target, reason } => framed(out, kind::EXITED, |out| {
            put_pid(out, target);
            put_reason(out, reason);
        }),
        Frame::Link { watcher, target } => framed(out, kind::LINK, |out| {
            put_pid(out, watcher);
            put_pid(out, target);
        }),
        Frame::Unlink { watcher, target } => framed(out, kind::UNLINK, |out| {
            put_pid(out, watcher);
            put_pid(out, target);
        }),
        Frame::Refused(Refusal {
            to,
            name,
            version,
            reason,
        }) => framed(out, kind::REFUSED, |out| {
            put_pid(out, to);
            out.put_u16(*version);
            put_name(out, name);
            put_map(out, reason);
        }),
    }
}

/// Appends a message whose names are in the tables.
pub(crate) fn encode_message(head: Head, body: &[u8], out: &mut BytesMut) {
    let mut fixed = [0; 4 + 1 + 1 + 4 + 4 + 8 + BINARY_BYTES];
    let mut length = 14;
    if let Some(id) = head.ask {
        fixed[5] |= ASKS;
        fixed[length..length + 8].copy_from_slice(&id.to_be_bytes());
        length += 8;
    }
    if let Some(trace) = head.trace {
        fixed[5] |= TRACED;
        fixed[length..length + BINARY_BYTES].copy_from_slice(&trace.to_bytes());
        length += BINARY_BYTES;
    }
    let bytes = u32::try_from(length - 4 + body.len()).expect("a frame's weight is checked before");
    fixed[..4].copy_from_slice(&bytes.to_be_bytes());
    fixed[4] = kind::MESSAGE;
    fixed[6..10].copy_from_slice(&head.actor.to_be_bytes());
    fixed[10..14].copy_from_slice(&head.kind.to_be_bytes());
    out.reserve(length + body.len());
    out.put_slice(&fixed[..length]);
    out.put_slice(body);
}

/// Appends an entry of the table of actors.
pub(crate) fn encode_actor(id: u32, incarnation: u64, name: &str, out: &mut BytesMut) {
    framed(out, kind::ACTOR, |out| {
        out.put_u32(id);
        out.put_u64(incarnation);
        out.put_slice(name.as_bytes());
    });
}

/// Appends an entry of the table of types.
pub(crate) fn encode_type(id: u32, version: u16, name: &str, out: &mut BytesMut) {
    framed(out, kind::TYPE, |out| {
        out.put_u32(id);
        out.put_u16(version);
        out.put_slice(name.as_bytes());
    });
}

/// Appends the end of both tables.
pub(crate) fn encode_forget(out: &mut BytesMut) {
    framed(out, kind::FORGET, |_| ());
}

/// Appends the place of a transfer in the order.
pub(crate) fn encode_announce(transfer: u64, actor: &str, out: &mut BytesMut) {
    framed(out, kind::ANNOUNCE, |out| {
        out.put_u64(transfer);
        out.put_slice(actor.as_bytes());
    });
}

/// What precedes a chunk's `bytes` bytes of a frame of `total`.
pub(crate) fn chunk_head(transfer: u64, total: u64, bytes: usize) -> [u8; CHUNK_HEAD] {
    let mut head = [0; CHUNK_HEAD];
    let length = u32::try_from(CHUNK_HEAD - 4 + bytes).expect("chunks are small");
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4] = kind::CHUNK;
    head[5..13].copy_from_slice(&transfer.to_be_bytes());
    head[13..].copy_from_slice(&total.to_be_bytes());
    head
}

/// Appends `control` to `out`.
pub(crate) fn encode_control(control: &Control, out: &mut BytesMut) {
    let text = |out: &mut BytesMut, kind, text: &str| {
        framed(out, kind, |out| out.put_slice(text.as_bytes()));
    };
    match control {
        Control::Hello(hello) => framed(out, kind::HELLO, |out| put_map(out, hello)),
        Control::Reject(why) => text(out, kind::REJECT, why),
        Control::Start => framed(out, kind::START, |_| ()),
        Control::Resume { first } => framed(out, kind::RESUME, |out| out.put_u64(*first)),
        Control::Ack(arrived) => framed(out, kind::ACK, |out| put_arrived(out, *arrived)),
        Control::Ping(arrived) => framed(out, kind::PING, |out| put_arrived(out, *arrived)),
        Control::Pong(arrived) => framed(out, kind::PONG, |out| put_arrived(out, *arrived)),
        Control::Goodbye => framed(out, kind::GOODBYE, |_| ()),
        Control::Challenge(nonce) => framed(out, kind::CHALLENGE, |out| out.put_slice(nonce)),
        Control::Proof(proof) => framed(out, kind::PROOF, |out| out.put_slice(proof)),
        Control::Hold(actor) => text(out, kind::HOLD, actor),
        Control::Release(actor) => text(out, kind::RELEASE, actor),
        Control::WantBulk => framed(out, kind::WANT_BULK, |_| ()),
    }
}

fn put_arrived(out: &mut BytesMut, arrived: Arrived) {
    out.put_u64(arrived.received);
    if let Some(consumed) = arrived.consumed {
        out.put_u64(consumed);
    }
}

/// Appends a frame whose body `put` writes.
pub(super) fn framed(out: &mut BytesMut, kind: u8, put: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    put(out);
    let length = out.len() - start - 4;
    let length = u32::try_from(length).expect("the weight of a frame is checked before");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_parcel(out: &mut BytesMut, parcel: &Parcel) {
    out.reserve(32 + parcel.to.name().len() + parcel.name.len() + parcel.body.len());
    let trace = parcel.trace.as_deref();
    put_label(out, &parcel.to, &parcel.name, parcel.version, trace);
    out.put_slice(&parcel.body);
}

/// Appends the header of a parcel.
fn put_label(
    out: &mut BytesMut,
    to: &AnyPid,
    name: &str,
    version: u16,
    trace: Option<&TraceContext>,
) {
    let extras = trace.map_or(0, |_| TRACE_BYTES);
    out.put_u16(length(
        8 + 2 + 2 + to.name().len() + 2 + name.len() + extras,
    ));
    out.put_u64(to.incarnation());
    out.put_u16(version);
    put_name(out, to.name());
    put_name(out, name);
    if let Some(trace) = trace {
        out.put_u8(extra::TRACE);
        out.put_u8(BINARY_BYTES as u8);
        out.put_slice(&trace.to_bytes());
    }
}

/// A frame of a message up to its body, without the length field.
pub(crate) fn message_prefix(
    to: &AnyPid,
    name: &str,
    version: u16,
    ask: Option<u64>,
    trace: Option<&TraceContext>,
) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + to.name().len() + name.len());
    match ask {
        Some(id) => {
            out.put_u8(kind::ASK);
            out.put_u64(id);
        }
        None => out.put_u8(kind::TELL),
    }
    put_label(&mut out, to, name, version, trace);
    out
}

/// A frame of a reply up to its body, without the length field.
pub(crate) fn reply_prefix(id: u64) -> BytesMut {
    let mut out = BytesMut::with_capacity(16);
    out.put_u8(kind::REPLY);
    out.put_u64(id);
    out.put_u8(0);
    out
}

type Answer = Result<serde_bytes::ByteBuf, Option<Undeliverable>>;

fn put_result(out: &mut BytesMut, result: &Answer) {
    match result {
        Ok(body) => {
            out.put_u8(0);
            out.put_slice(body);
        }
        Err(None) => out.put_u8(1),
        Err(Some(reason)) => {
            out.put_u8(2);
            put_map(out, reason);
        }
    }
}

fn put_pid(out: &mut BytesMut, pid: &AnyPid) {
    put_name(out, &pid.to_string());
}

/// A reason that older nodes do not know follows the nearest that they do; they read no further.
fn put_reason(out: &mut BytesMut, reason: &ExitReason) {
    if let Some(known) = reason.for_older_nodes() {
        put_map(out, &known);
    }
    put_map(out, reason);
}

fn put_name(out: &mut BytesMut, name: &str) {
    out.put_u16(length(name.len()));
    out.put_slice(name.as_bytes());
}

fn put_map(out: &mut BytesMut, value: &impl Serialize) {
    let bytes = rmp_serde::to_vec_named(value).expect("plain data always serialises");
    out.put_slice(&bytes);
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("names are checked before they are queued")
}
