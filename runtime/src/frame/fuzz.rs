//! The codec: what was written is read back, and bytes that are anything else do no harm.
//!
//! `TEPUI_FUZZ_CASES` sets the number of cases of the fuzz tests (default 2,000).

use bytes::BytesMut;
use proptest::prelude::*;
use serde_bytes::ByteBuf;

use super::{encode::framed, *};
use crate::{pid::NodeAddr, trace::TraceContext};

const LIMIT: usize = 64 * 1024;

fn own() -> NodeAddr {
    NodeAddr::new("here", 1)
}

fn decoder() -> Decoder {
    Decoder::new(own(), LIMIT)
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TEPUI_FUZZ_CASES").ok();
    ProptestConfig::with_cases(cases.and_then(|cases| cases.parse().ok()).unwrap_or(2000))
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/().é-]{1,40}"
}

fn any_pid() -> impl Strategy<Value = AnyPid> {
    let host = prop_oneof!["[a-z][a-z0-9.-]{0,20}", Just("[::1]".to_owned())];
    (any_name(), host, any::<u16>(), any::<u64>()).prop_map(|(name, host, port, incarnation)| {
        AnyPid::of_incarnation(name.into(), NodeAddr::new(&host, port), incarnation)
    })
}

fn any_trace() -> impl Strategy<Value = Option<Box<TraceContext>>> {
    let bytes = prop::array::uniform25(any::<u8>());
    prop::option::of(bytes.prop_map(|mut bytes| {
        bytes[24] &= 1;
        bytes
    }))
    .prop_map(|bytes| TraceContext::from_bytes(&bytes?).map(Box::new))
}

fn any_parcel() -> impl Strategy<Value = Parcel> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let to = (any_name(), any::<u64>());
    (to, any_name(), any::<u16>(), any_trace(), body).prop_map(
        |((to, incarnation), name, version, trace, body)| Parcel {
            to: AnyPid::of_incarnation(to.into(), own(), incarnation),
            name: name.into(),
            version,
            trace,
            body,
        },
    )
}

fn any_undeliverable() -> impl Strategy<Value = Undeliverable> {
    prop_oneof![
        Just(Undeliverable::MailboxFull),
        Just(Undeliverable::NoSuchActor),
        any_name().prop_map(|name| Undeliverable::NotAccepted { name }),
        any::<String>().prop_map(Undeliverable::Codec),
        (0..usize::MAX, 0..usize::MAX)
            .prop_map(|(bytes, limit)| Undeliverable::TooLarge { bytes, limit }),
    ]
}

fn any_reason() -> impl Strategy<Value = ExitReason> {
    prop_oneof![
        Just(ExitReason::Stopped),
        any::<String>().prop_map(ExitReason::Crashed),
        any::<String>().prop_map(ExitReason::Failed),
        Just(ExitReason::Killed),
        Just(ExitReason::NodeDown),
        Just(ExitReason::Unreachable),
        Just(ExitReason::NoSuchActor),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    (any_pid(), any_name(), any::<u16>(), any_undeliverable()).prop_map(
        |(to, name, version, reason)| Refusal {
            to,
            name: name.into(),
            version,
            reason,
        },
    )
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let answer = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|body| Ok(ByteBuf::from(body))),
        prop::option::of(any_undeliverable()).prop_map(Err),
    ];
    prop_oneof![
        any_parcel().prop_map(Frame::Tell),
        (any::<u64>(), any_parcel()).prop_map(|(id, parcel)| Frame::Ask { id, parcel }),
        (any::<u64>(), answer).prop_map(|(id, result)| Frame::Reply { id, result }),
        any_pid().prop_map(|target| Frame::Monitor { target }),
        any_pid().prop_map(|target| Frame::Demonitor { target }),
        (any_pid(), any_pid()).prop_map(|(watcher, target)| Frame::Link { watcher, target }),
        (any_pid(), any_pid()).prop_map(|(watcher, target)| Frame::Unlink { watcher, target }),
        (any_pid(), any_reason()).prop_map(|(target, reason)| Frame::Exited { target, reason }),
        any_refusal().prop_map(Frame::Refused),
    ]
}

fn any_control() -> impl Strategy<Value = Control> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u8>(), any::<[u64; 2]>());
    let hello = (any_pid(), any_pid(), numbers).prop_map(
        |(addr, wanted, (incarnation, epoch, lane, windows))| Hello {
            addr: addr.node().clone(),
            incarnation,
            wanted: wanted.node().clone(),
            epoch,
            lane,
            windows,
        },
    );
    let arrived = || {
        let arrived = (any::<u64>(), any::<Option<u64>>());
        arrived.prop_map(|(received, consumed)| Arrived { received, consumed })
    };
    prop_oneof![
        hello.prop_map(Control::Hello),
        any::<String>().prop_map(Control::Reject),
        Just(Control::Start),
        any::<u64>().prop_map(|first| Control::Resume { first }),
        arrived().prop_map(Control::Ack),
        arrived().prop_map(Control::Ping),
        arrived().prop_map(Control::Pong),
        Just(Control::Goodbye),
        any::<[u8; 32]>().prop_map(Control::Challenge),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Control::Proof),
        any_name().prop_map(Control::Hold),
        any_name().prop_map(Control::Release),
        Just(Control::WantBulk),
    ]
}

/// A [`Wire`] that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    Control(Control),
    Frame(Frame),
    Message(Head, Vec<u8>),
    Actor(u32, u64, String),
    Type(u32, u16, String),
    Forget,
    Announce(u64, String),
    Chunk(u64, u64, Vec<u8>),
    UnknownNumbered(u8),
}

impl From<Wire<'_>> for Read {
    fn from(wire: Wire<'_>) -> Self {
        match wire {
            Wire::Control(control) => Read::Control(control),
            Wire::Frame(frame) => Read::Frame(frame),
            Wire::Message(head, body) => Read::Message(head, body.to_vec()),
            Wire::Actor {
                id,
                incarnation,
                name,
            } => Read::Actor(id, incarnation, name.to_owned()),
            Wire::Type { id, version, name } => Read::Type(id, version, name.to_owned()),
            Wire::Forget => Read::Forget,
            Wire::Announce { transfer, actor } => Read::Announce(transfer, actor.to_owned()),
            Wire::Chunk {
                transfer,
                total,
                bytes,
            } => Read::Chunk(transfer, total, bytes.to_vec()),
            Wire::UnknownNumbered(kind) => Read::UnknownNumbered(kind),
        }
    }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn any_wire() -> impl Strategy<Value = Read> {
    let head = (
        any::<u32>(),
        any::<u32>(),
        any::<Option<u64>>(),
        any_trace(),
    );
    let head = head.prop_map(|(actor, kind, ask, trace)| Head {
        actor,
        kind,
        ask,
        trace: trace.map(|trace| *trace),
    });
    prop_oneof![
        3 => any_frame().prop_map(Read::Frame),
        1 => any_control().prop_map(Read::Control),
        3 => (head, any_bytes()).prop_map(|(head, body)| Read::Message(head, body)),
        1 => (any::<u32>(), any::<u64>(), any_name()).prop_map(|(a, b, c)| Read::Actor(a, b, c)),
        1 => (any::<u32>(), any::<u16>(), any::<String>()).prop_map(|(a, b, c)| Read::Type(a, b, c)),
        1 => Just(Read::Forget),
        1 => (any::<u64>(), any_name()).prop_map(|(a, b)| Read::Announce(a, b)),
        1 => (any::<u64>(), any::<u64>(), any_bytes()).prop_map(|(a, b, c)| Read::Chunk(a, b, c)),
    ]
}

fn encode(wires: &[Read]) -> BytesMut {
    let mut out = BytesMut::new();
    for wire in wires {
        match wire {
            Read::Frame(frame) => encode_frame(frame, &mut out),
            Read::Control(control) => encode_control(control, &mut out),
            Read::Message(head, body) => encode_message(*head, body, &mut out),
            Read::Actor(id, incarnation, name) => encode_actor(*id, *incarnation, name, &mut out),
            Read::Type(id, version, name) => encode_type(*id, *version, name, &mut out),
            Read::Forget => encode_forget(&mut out),
            Read::Announce(transfer, actor) => encode_announce(*transfer, actor, &mut out),
            Read::Chunk(transfer, total, bytes) => {
                out.extend_from_slice(&chunk_head(*transfer, *total, bytes.len()));
                out.extend_from_slice(bytes);
            }
            Read::UnknownNumbered(kind) => framed(&mut out, *kind, |_| ()),
        }
    }
    out
}

/// Feeds `bytes` to a decoder in pieces, as a reader does; the second part is how it ended.
fn decode_in_pieces(bytes: &[u8], pieces: &[usize]) -> (Vec<Read>, Result<(), FrameError>) {
    let (mut decoder, mut buffer) = (decoder(), BytesMut::new());
    let (mut wires, mut rest) = (Vec::new(), bytes);
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let piece = pieces
            .next()
            .map_or(rest.len(), |piece| (*piece).clamp(1, rest.len()));
        buffer.extend_from_slice(&rest[..piece]);
        rest = &rest[piece..];
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(wire)) => wires.push(wire.into()),
                Ok(None) => break,
                Err(error) => return (wires, Err(error)),
            }
        }
        assert!(
            buffer.len() <= LIMIT + 4 + piece,
            "the buffer holds one frame at most"
        );
    }
    (wires, Ok(()))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_is_written_is_read_back_in_any_pieces(
        wires in prop::collection::vec(any_wire(), 0..12),
        pieces in prop::collection::vec(1..200_usize, 1..8),
    ) {
        let (read, end) = decode_in_pieces(&encode(&wires), &pieces);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(read, wires);
    }

    #[test]
    fn a_frame_is_never_longer_than_its_weight(frame in any_frame()) {
        let mut bytes = BytesMut::new();
        encode_frame(&frame, &mut bytes);
        prop_assert!(bytes.len() - 4 <= frame.weight(), "{} {}", bytes.len(), frame.weight());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        pieces in prop::collection::vec(1..200_usize, 1..8),
    ) {
        decode_in_pieces(&bytes, &pieces).1.ok();
    }

    #[test]
    fn arbitrary_bodies_of_known_kinds_do_no_harm(
        kind in prop_oneof![0..14_u8, 60..80_u8],
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = BytesMut::new();
        framed(&mut bytes, kind, |out| out.extend_from_slice(&body));
        let (wires, end) = decode_in_pieces(&bytes, &[]);
        if let Err(error) = end {
            prop_assert!(wires.is_empty());
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_changed_stream_is_read_up_to_the_change_at_least(
        wires in prop::collection::vec(any_wire(), 1..8),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        pieces in prop::collection::vec(1..200_usize, 1..8),
    ) {
        let mut bytes = encode(&wires);
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let whole_before = (0..wires.len())
            .take_while(|count| encode(&wires[..*count + 1]).len() <= at.min(bytes.len()))
            .count();
        let (read, _) = decode_in_pieces(&bytes, &pieces);
        prop_assert!(read.len() >= whole_before);
        prop_assert_eq!(&read[..whole_before], &wires[..whole_before]);
    }

    #[test]
    fn arbitrary_frames_that_came_in_chunks_do_no_harm(
        kind in 62..68_u8,
        body in any_bytes(),
    ) {
        let bytes = [vec![kind], body].concat();
        decoder().assembled(bytes).ok();
    }

    #[test]
    fn a_message_that_came_in_chunks_is_read_back(
        parcel in any_parcel(),
        ask in any::<Option<u64>>(),
    ) {
        let trace = parcel.trace.as_deref();
        let prefix = message_prefix(&parcel.to, &parcel.name, parcel.version, ask, trace);
        let read = decoder().assembled([&prefix[..], &parcel.body[..]].concat());
        let Ok(Assembled::Message(large)) = read else { panic!("{read:?}") };
        prop_assert_eq!(large.body(), &parcel.body[..]);
        prop_assert_eq!((large.to, large.name, large.ask), (parcel.to, parcel.name, ask));
        prop_assert_eq!(large.trace, parcel.trace.map(|trace| *trace));
    }

    #[test]
    fn preambles_agree_on_a_common_version_or_on_none(a: [u16; 2], b: [u16; 2]) {
        let [a, b] = [a, b].map(|[x, y]| Preamble { min: x.min(y), max: x.max(y) });
        prop_assert_eq!(Preamble::decode(&a.encode()), Some(a));
        prop_assert_eq!(a.common(b), b.common(a));
        let overlap = a.min.max(b.min)..=a.max.min(b.max);
        prop_assert_eq!(a.common(b).is_some(), !overlap.is_empty());
        if let Some(version) = a.common(b) {
            prop_assert!(overlap.contains(&version));
        }
    }
}

fn refusal(bytes: &[u8]) -> String {
    decode_in_pieces(bytes, &[]).1.unwrap_err().to_string()
}

#[test]
fn refusals_say_what_is_wrong_in_one_line() {
    assert_eq!(refusal(&[0; 4]), "is empty");
    assert_eq!(
        refusal(&[0, 1, 0, 1]),
        "has 65537 bytes, at most 65536 are allowed"
    );
    assert_eq!(
        refusal(b"GET / HTTP/1.1\r\n"),
        "has 1195725856 bytes, at most 65536 are allowed"
    );
    assert_eq!(
        refusal(&[0, 0, 0, 3, 64, 0, 9]),
        "is corrupt (kind 64, bad header)"
    );
    assert_eq!(
        refusal(&[0, 0, 0, 2, 1, 0xc1]),
        "is corrupt (kind 1, bad hello)"
    );
    let blank = [&[0, 0, 0, 18, 64, 0, 15][..], &[0; 10], b"\0\x01 \0\0"].concat();
    assert_eq!(refusal(&blank), "is corrupt (kind 64, bad actor name)");
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    let mut buffer = BytesMut::from(&[0, 0, 0xff, 0xff, 64][..]);
    assert_eq!(decoder().next(&mut buffer), Ok(None));
    assert!(buffer.capacity() < 1024);
}

#[test]
fn a_newer_writer_may_add_to_headers_and_hellos() {
    let mut bytes = BytesMut::new();
    framed(&mut bytes, wire::kind::TELL, |out| {
        let header = [&[0; 7][..], &[5, 0, 2, 0, 1, b'a', 0, 1, b'M', 9, 9, 9]].concat();
        out.extend_from_slice(&(header.len() as u16).to_be_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(b"body");
    });
    let to = AnyPid::of_incarnation("a".into(), own(), 5);
    let parcel = Parcel {
        to,
        name: "M".into(),
        version: 2,
        trace: None,
        body: b"body".to_vec(),
    };
    let mut decoder = decoder();
    assert_eq!(
        decoder.next(&mut bytes),
        Ok(Some(Wire::Frame(Frame::Tell(parcel))))
    );

    #[derive(Serialize)]
    struct NewerHello {
        addr: NodeAddr,
        incarnation: u64,
        colour: &'static str,
        wanted: NodeAddr,
        epoch: u64,
    }
    let newer = NewerHello {
        addr: own(),
        incarnation: 3,
        colour: "red",
        wanted: own(),
        epoch: 4,
    };
    framed(&mut bytes, wire::kind::HELLO, |out| {
        out.extend_from_slice(&rmp_serde::to_vec_named(&newer).unwrap());
    });
    let hello = Hello {
        addr: own(),
        incarnation: 3,
        wanted: own(),
        epoch: 4,
        lane: 0,
        windows: [0, 0],
    };
    assert_eq!(
        decoder.next(&mut bytes),
        Ok(Some(Wire::Control(Control::Hello(hello))))
    );
}

#[test]
fn a_trace_is_found_behind_extras_of_other_tags_and_a_broken_one_is_skipped() {
    let trace = TraceContext::from_bytes(&[1; 25]).unwrap();
    let read = |extras: &[u8]| {
        let mut bytes = BytesMut::new();
        framed(&mut bytes, wire::kind::TELL, |out| {
            let header = [&[0; 7][..], &[5, 0, 2, 0, 1, b'a', 0, 1, b'M'], extras].concat();
            out.extend_from_slice(&(header.len() as u16).to_be_bytes());
            out.extend_from_slice(&header);
            out.extend_from_slice(b"body");
        });
        match decoder().next(&mut bytes) {
            Ok(Some(Wire::Frame(Frame::Tell(parcel)))) if parcel.body == b"body" => parcel.trace,
            other => panic!("{other:?}"),
        }
    };
    let traced = [&[1, 25][..], &[1; 25]].concat();
    assert_eq!(read(&[]), None);
    assert_eq!(read(&traced).as_deref(), Some(&trace));
    assert_eq!(
        read(&[&[7, 3, 9, 9, 9][..], &traced].concat()).as_deref(),
        Some(&trace)
    );
    assert_eq!(read(&traced[..20]), None);
    assert_eq!(read(&[1, 2, 3, 3]), None);
    assert_eq!(read(&[&[1, 25][..], &[0; 25]].concat()), None);
}

#[test]
fn unknown_kinds_are_skipped_and_numbered_ones_counted() {
    let bytes = encode(&[Read::UnknownNumbered(63), Read::UnknownNumbered(255)]);
    let (wires, end) = decode_in_pieces(&bytes, &[]);
    assert_eq!((wires, end), (vec![Read::UnknownNumbered(255)], Ok(())));
}
