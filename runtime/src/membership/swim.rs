//! Who is there, by SWIM: the wrapper of `foca`. No I/O in here: what is to be sent, timed and told
//! comes out of each call, and the randomness is the caller's.

use std::{num::NonZero, time::Duration};

use bytes::{Buf, BufMut};
use foca::{Codec, Foca, Header, Identity, NoCustomBroadcast, Notification, PeriodicParams, Timer};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::MembershipConfig;
use crate::NodeAddr;

/// A node in the eyes of the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct NodeId {
    pub(super) addr: NodeAddr,
    /// Which life of the node; a later one is greater.
    pub(super) life: u64,
    /// How often it was taken for dead in this life.
    pub(super) returns: u64,
}

impl Identity for NodeId {
    type Addr = NodeAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            returns: self.returns + 1,
            ..self.clone()
        })
    }

    fn addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        (self.life, self.returns) > (other.life, other.returns)
    }
}

/// What comes out of a call.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) send: Vec<(NodeAddr, Vec<u8>)>,
    pub(super) timers: Vec<(Timer<NodeId>, Duration)>,
    pub(super) changes: Vec<Change>,
}

/// A node came or went.
#[derive(Debug)]
pub(super) enum Change {
    Up(NodeId),
    Down(NodeId),
}

impl foca::Runtime<NodeId> for &mut Out {
    fn notify(&mut self, notification: Notification<'_, NodeId>) {
        match notification {
            Notification::MemberUp(id) => self.changes.push(Change::Up(id.clone())),
            Notification::MemberDown(id) => self.changes.push(Change::Down(id.clone())),
            // Started anew before its end was noticed.
            Notification::Rename(before, after) if before.life != after.life => {
                self.changes.push(Change::Down(before.clone()));
                self.changes.push(Change::Up(after.clone()));
            }
            _ => {}
        }
    }

    fn send_to(&mut self, to: NodeId, data: &[u8]) {
        self.send.push((to.addr, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<NodeId>, after: Duration) {
        self.timers.push((event, after));
    }
}

/// The protocol's state.
pub(super) struct Swim {
    foca: Foca<NodeId, MessagePack, StdRng, NoCustomBroadcast>,
}

impl Swim {
    pub(super) fn new(id: NodeId, config: &MembershipConfig, rng: StdRng) -> Self {
        let foca = Foca::new(id, config.foca(), rng, MessagePack);
        Self { foca }
    }

    /// Asks the node at `seed` for its members.
    pub(super) fn announce(&mut self, seed: &NodeAddr, out: &mut Out) {
        let seed = NodeId {
            addr: seed.clone(),
            life: 0,
            returns: 0,
        };
        self.check(|foca| foca.announce(seed, out));
    }

    pub(super) fn data(&mut self, data: &[u8], out: &mut Out) {
        self.check(|foca| foca.handle_data(data, out));
    }

    pub(super) fn timer(&mut self, timer: Timer<NodeId>, out: &mut Out) {
        self.check(|foca| foca.handle_timer(timer, out));
    }

    /// Tells the others that this node goes.
    pub(super) fn leave(&mut self, out: &mut Out) {
        self.check(|foca| foca.leave_cluster(out));
    }

    /// Anything may arrive: an error concerns one packet, and the protocol goes on.
    fn check(
        &mut self,
        call: impl FnOnce(
            &mut Foca<NodeId, MessagePack, StdRng, NoCustomBroadcast>,
        ) -> Result<(), foca::Error>,
    ) {
        if let Err(error) = call(&mut self.foca) {
            tracing::debug!(%error, "membership");
        }
    }
}

impl MembershipConfig {
    fn foca(&self) -> foca::Config {
        let few = |n: usize| NonZero::new(n).expect("not zero");
        let every = |frequency, n| {
            Some(PeriodicParams {
                frequency,
                num_members: few(n),
            })
        };
        let mut config = foca::Config::simple();
        config.probe_period = self.probe_every;
        config.probe_rtt = self.probe_every / 3;
        config.suspect_to_down_after = self.suspect_for;
        config.max_packet_size = few(64 * 1024);
        config.notify_down_members = true;
        config.periodic_gossip = every(self.probe_every / 5, 3);
        config.periodic_announce = every(self.probe_every * 30, 1);
        config.periodic_announce_to_down_members = every(self.probe_every * 5, 2);
        config
    }
}

/// The packets are MessagePack.
struct MessagePack;

#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error(transparent)]
    Encode(#[from] rmp_serde::encode::Error),
    #[error(transparent)]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("no room in the packet")]
    Full,
}

fn put(value: &impl Serialize, mut buf: impl BufMut) -> Result<(), PackError> {
    let bytes = rmp_serde::to_vec(value)?;
    if buf.remaining_mut() < bytes.len() {
        return Err(PackError::Full);
    }
    buf.put_slice(&bytes);
    Ok(())
}

fn get<T: DeserializeOwned>(buf: impl Buf) -> Result<T, PackError> {
    Ok(rmp_serde::from_read(buf.reader())?)
}

impl Codec<NodeId> for MessagePack {
    type Error = PackError;

    fn encode_header(
        &mut self,
        header: &Header<NodeId>,
        buf: impl BufMut,
    ) -> Result<(), PackError> {
        put(header, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<NodeId>, PackError> {
        get(buf)
    }

    fn encode_member(
        &mut self,
        member: &foca::Member<NodeId>,
        buf: impl BufMut,
    ) -> Result<(), PackError> {
        put(member, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<foca::Member<NodeId>, PackError> {
        get(buf)
    }
}
