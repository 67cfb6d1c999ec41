//! The receiving side: which message of a stream is handled, and which is a double. Pure.
//!
//! A stream is one sender to one receiver. Of each the inbox remembers the next number, so that a
//! message is handled once by each incarnation of the receiver, and in order. Streams are bounded;
//! one that its sender cannot still be resending on is forgotten when room is needed.

use std::collections::{BTreeMap, BTreeSet};

use super::Receipt;
use crate::NodeAddr;

/// A stream: the sending node, and a number of its own.
pub(crate) type StreamId = (NodeAddr, u64);

/// How many streams of all senders are remembered.
const STREAMS_MAX: usize = 65_536;

#[derive(Debug)]
struct Stream {
    /// Of the receiver.
    incarnation: u64,
    expected: u64,
    /// Under way in the receiver's mailbox.
    busy: BTreeSet<u64>,
    /// When it may be forgotten, in microseconds.
    forget_at: u64,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Hand it to the receiver, and call [`Inbox::done`] when it has been handled.
    Deliver,
    /// Answer without.
    Answer(Receipt),
}

/// A message as the inbox sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Of the receiver that lives now.
    pub(crate) incarnation: u64,
    pub(crate) seq: u64,
    /// The lowest number that the sender has not settled.
    pub(crate) base: u64,
    /// For how long a message is resent, in microseconds.
    pub(crate) patience: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox(BTreeMap<StreamId, Stream>);

impl Inbox {
    pub(crate) fn offer(&mut self, id: &StreamId, offer: Offer, now: u64) -> Verdict {
        let Some(stream) = self.stream(id, offer, now) else {
            return Verdict::Answer(Receipt::Full);
        };
        // Twice: a message of the last moment may still be under way.
        stream.forget_at = now.saturating_add(offer.patience.saturating_mul(2));
        if stream.incarnation != offer.incarnation {
            stream.incarnation = offer.incarnation;
            stream.expected = offer.base;
            stream.busy.clear();
        }
        stream.expected = stream.expected.max(offer.base);
        if offer.seq > stream.expected {
            return Verdict::Answer(Receipt::Expected(stream.expected));
        }
        if offer.seq < stream.expected {
            let receipt = match stream.busy.contains(&offer.seq) {
                true => Receipt::Pending,
                false => Receipt::Handled,
            };
            return Verdict::Answer(receipt);
        }
        stream.expected += 1;
        stream.busy.insert(offer.seq);
        Verdict::Deliver
    }

    /// The message has been handled, or never will be, by that incarnation.
    pub(crate) fn done(&mut self, id: &StreamId, incarnation: u64, seq: u64) {
        if let Some(stream) = self.0.get_mut(id)
            && stream.incarnation == incarnation
        {
            stream.busy.remove(&seq);
        }
    }

    fn stream(&mut self, id: &StreamId, offer: Offer, now: u64) -> Option<&mut Stream> {
        if !self.0.contains_key(id) {
            if self.0.len() >= STREAMS_MAX {
                self.0.retain(|_, stream| stream.forget_at > now);
            }
            if self.0.len() >= STREAMS_MAX {
                return None;
            }
            let stream = Stream {
                incarnation: offer.incarnation,
                expected: offer.base,
                busy: BTreeSet::new(),
                forget_at: now,
            };
            self.0.insert(id.clone(), stream);
        }
        self.0.get_mut(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> StreamId {
        (NodeAddr::new("a", 1), 7)
    }

    fn offer(incarnation: u64, seq: u64, base: u64) -> Offer {
        Offer {
            incarnation,
            seq,
            base,
            patience: 1_000,
        }
    }

    #[test]
    fn each_is_delivered_once_and_in_order() {
        let mut inbox = Inbox::default();
        let mut take = |seq, base| inbox.offer(&id(), offer(1, seq, base), 0);
        assert_eq!(take(0, 0), Verdict::Deliver);
        assert_eq!(take(2, 0), Verdict::Answer(Receipt::Expected(1)));
        assert_eq!(take(0, 0), Verdict::Answer(Receipt::Pending));
        assert_eq!(take(1, 0), Verdict::Deliver);
        assert_eq!(take(5, 5), Verdict::Deliver, "those before were given up");
        assert_eq!(take(3, 3), Verdict::Answer(Receipt::Handled));
        inbox.done(&id(), 1, 0);
        let again = inbox.offer(&id(), offer(1, 0, 0), 0);
        assert_eq!(again, Verdict::Answer(Receipt::Handled));
    }

    #[test]
    fn another_incarnation_begins_at_what_is_not_settled() {
        let mut inbox = Inbox::default();
        for seq in 0..3 {
            inbox.offer(&id(), offer(1, seq, 0), 0);
        }
        assert_eq!(inbox.offer(&id(), offer(2, 1, 1), 0), Verdict::Deliver);
        inbox.done(&id(), 1, 1);
        let pending = inbox.offer(&id(), offer(2, 1, 1), 0);
        assert_eq!(
            pending,
            Verdict::Answer(Receipt::Pending),
            "not the first's"
        );
    }

    #[test]
    fn streams_are_bounded_and_only_idle_ones_are_forgotten() {
        let mut inbox = Inbox::default();
        let stream = |n| (NodeAddr::new("a", 1), n);
        for n in 0..STREAMS_MAX as u64 {
            inbox.offer(&stream(n), offer(1, 0, 0), n / 60_000);
        }
        let refused = inbox.offer(&stream(1 << 40), offer(1, 0, 0), 1_999);
        assert_eq!(refused, Verdict::Answer(Receipt::Full));
        let taken = inbox.offer(&stream(1 << 40), offer(1, 0, 0), 2_000);
        assert_eq!(taken, Verdict::Deliver);
        let kept = inbox.offer(&stream(65_000), offer(1, 0, 0), 2_000);
        assert_eq!(kept, Verdict::Answer(Receipt::Pending));
    }
}
