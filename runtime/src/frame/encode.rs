//! Writing frames.
//!
//! The body of `Tell` is `u16` header length, header, message; `Ask` and `Reply` have the `u64` id
//! in front. The header is `u64` incarnation of the actor, `u16` message version, `u16` length and
//! actor name, `u16` length and message name, and extras that a reader may skip: each `u8` tag,
//! `u8` length, and bytes.
//! All numbers are big endian.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use super::{
    Control, Frame, Parcel,
    wire::{Hello, TRACE_BYTES, extra, kind},
};
use crate::{error::Undeliverable, exit::ExitReason, pid::AnyPid, trace::BINARY_BYTES};

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
    }
}

/// Appends `control` to `out`.
pub(crate) fn encode_control(control: &Control, out: &mut BytesMut) {
    let number = |out: &mut BytesMut, kind, number| framed(out, kind, |out| out.put_u64(number));
    match control {
        Control::Hello(hello) => framed(out, kind::HELLO, |out| put_hello(out, hello)),
        Control::Reject(why) => framed(out, kind::REJECT, |out| out.put_slice(why.as_bytes())),
        Control::Start => framed(out, kind::START, |_| ()),
        Control::Resume { first } => number(out, kind::RESUME, *first),
        Control::Ack { received } => number(out, kind::ACK, *received),
        Control::Ping { received } => number(out, kind::PING, *received),
        Control::Pong { received } => number(out, kind::PONG, *received),
        Control::Goodbye => framed(out, kind::GOODBYE, |_| ()),
        Control::Challenge(nonce) => framed(out, kind::CHALLENGE, |out| out.put_slice(nonce)),
        Control::Proof(proof) => framed(out, kind::PROOF, |out| out.put_slice(proof)),
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
    let (to, name) = (parcel.to.name(), &*parcel.name);
    out.reserve(16 + to.len() + name.len() + parcel.body.len());
    let extras = parcel.trace.as_ref().map_or(0, |_| TRACE_BYTES);
    out.put_u16(length(8 + 2 + 2 + to.len() + 2 + name.len() + extras));
    out.put_u64(parcel.to.incarnation());
    out.put_u16(parcel.version);
    out.put_u16(length(to.len()));
    out.put_slice(to.as_bytes());
    out.put_u16(length(name.len()));
    out.put_slice(name.as_bytes());
    if let Some(trace) = &parcel.trace {
        out.put_u8(extra::TRACE);
        out.put_u8(BINARY_BYTES as u8);
        out.put_slice(&trace.to_bytes());
    }
    out.put_slice(&parcel.body);
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
    let text = pid.to_string();
    out.put_u16(length(text.len()));
    out.put_slice(text.as_bytes());
}

/// A reason that older nodes do not know follows the nearest that they do; they read no further.
fn put_reason(out: &mut BytesMut, reason: &ExitReason) {
    if let Some(known) = reason.for_older_nodes() {
        put_map(out, &known);
    }
    put_map(out, reason);
}

fn put_hello(out: &mut BytesMut, hello: &Hello) {
    put_map(out, hello);
}

fn put_map(out: &mut BytesMut, value: &impl Serialize) {
    let bytes = rmp_serde::to_vec_named(value).expect("plain data always serialises");
    out.put_slice(&bytes);
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("names are checked before they are queued")
}
