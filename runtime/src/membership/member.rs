//! The actor that keeps a node's membership: gossip in and out, records spread, events told.

use std::sync::Arc;

use actix::{Handler, Running};
use foca::Timer;
use serde::{Deserialize, Serialize};

use super::{
    MembershipConfig, NAME, NodeEvent, Shared,
    swim::{Change, NodeId, Out, Swim},
    view::{Record, Stamp},
};
use crate::{
    AnyPid, Exited, Message, NodeAddr,
    rt::{ActixActor, Context},
};

/// A packet of the membership protocol.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Gossip")]
pub(super) struct Gossip {
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

/// Records that are news to the receiver.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Records")]
pub(super) struct Records {
    records: Vec<Record>,
}

/// What the sender has; what is news to it comes back.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Compare")]
pub(super) struct Compare {
    from: NodeAddr,
    stamps: Vec<Stamp>,
}

/// Messages that wait for members of groups on the sending node.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Loads")]
pub(super) struct Loads {
    loads: Vec<(AnyPid, u64)>,
}

/// The own record has changed.
#[derive(Message)]
#[message(local)]
pub(super) struct Changed;

/// An actor of this node is in a group or bears a name.
#[derive(Message)]
#[message(local)]
pub(super) struct Watch(pub(super) AnyPid);

pub(super) struct MemberActor {
    shared: Arc<Shared>,
    config: MembershipConfig,
    id: NodeId,
    swim: Option<Swim>,
}

impl MemberActor {
    pub(super) fn new(shared: Arc<Shared>, config: MembershipConfig, id: NodeId) -> Self {
        Self {
            shared,
            config,
            id,
            swim: None,
        }
    }

    fn swim(&mut self, ctx: &mut Context<Self>, call: impl FnOnce(&mut Swim, &mut Out)) {
        let mut out = Out::default();
        if let Some(swim) = &mut self.swim {
            call(swim, &mut out);
        }
        for (to, data) in out.send {
            self.send(&to, Gossip { data }, ctx);
        }
        for (timer, after) in out.timers {
            ctx.run_later(after, |actor: &mut Self, ctx| actor.timer(timer, ctx));
        }
        for change in out.changes {
            self.change(change, ctx);
        }
    }

    fn timer(&mut self, timer: Timer<NodeId>, ctx: &mut Context<Self>) {
        self.swim(ctx, |swim, out| swim.timer(timer, out));
    }

    /// Sends to the same actor on another node. What does not fit into a link is lost, as the
    /// protocol expects.
    fn send<M: Message>(&self, to: &NodeAddr, message: M, ctx: &Context<Self>) {
        let to = AnyPid::new(NAME, to.clone()).expect("a name that is well formed");
        let _ = ctx.node().tell(&to, message);
    }

    fn change(&mut self, change: Change, ctx: &mut Context<Self>) {
        match change {
            Change::Up(id) => {
                let (own, stamps) = {
                    let mut view = self.shared.view();
                    view.up(id.addr.clone(), id.life);
                    (view.own.clone(), view.stamps())
                };
                self.send(&id.addr, Records { records: vec![own] }, ctx);
                let from = self.id.addr.clone();
                self.send(&id.addr, Compare { from, stamps }, ctx);
                self.shared.tell(&NodeEvent::Up { node: id.addr });
            }
            Change::Down(id) => {
                let was_up = self.shared.view().down(&id.addr, id.life);
                if was_up {
                    self.shared.tell(&NodeEvent::Down { node: id.addr });
                }
            }
        }
    }

    /// Asks the seeds that are not known: those of a cluster that has not met this one too.
    fn announce(&mut self, ctx: &mut Context<Self>) {
        for seed in self.config.seeds.clone() {
            let known = seed == self.id.addr || self.shared.view().live.contains_key(&seed);
            if !known {
                self.swim(ctx, |swim, out| swim.announce(&seed, out));
            }
        }
        let again = match self.shared.view().live.is_empty() {
            true => self.config.probe_every,
            false => self.config.probe_every * 10,
        };
        ctx.run_later(again, Self::announce);
    }

    /// Compares with one node at a time, so that whatever was lost is made good.
    fn compare(&mut self, ctx: &mut Context<Self>) {
        let (live, stamps) = {
            let view = self.shared.view();
            let live: Vec<NodeAddr> = view.live.keys().cloned().collect();
            (live, view.stamps())
        };
        if let Some(n) = ctx.node().random_u64().checked_rem(live.len() as u64) {
            let from = self.id.addr.clone();
            let n = usize::try_from(n).unwrap_or_default();
            self.send(&live[n], Compare { from, stamps }, ctx);
        }
        self.tell_loads(&live, ctx);
        ctx.run_later(self.config.probe_every, Self::compare);
    }

    fn tell_loads(&self, live: &[NodeAddr], ctx: &Context<Self>) {
        let members = self.shared.view().own_members();
        let load = |pid: AnyPid| {
            let waiting = ctx.node().waiting(&pid)?;
            Some((pid, waiting))
        };
        let loads: Vec<_> = members.into_iter().filter_map(load).collect();
        if loads.is_empty() {
            return;
        }
        for node in live {
            let loads = loads.clone();
            self.send(node, Loads { loads }, ctx);
        }
    }
}

impl ActixActor for MemberActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let rng = ctx.node().rng();
        self.swim = Some(Swim::new(self.id.clone(), &self.config, rng));
        self.announce(ctx);
        ctx.run_later(self.config.probe_every, Self::compare);
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.swim(ctx, Swim::leave);
        Running::Stop
    }
}

crate::accepts!(MemberActor: Gossip, Records, Compare, Loads, Exited);

impl Handler<Gossip> for MemberActor {
    type Result = ();

    fn handle(&mut self, gossip: Gossip, ctx: &mut Context<Self>) {
        self.swim(ctx, |swim, out| swim.data(&gossip.data, out));
    }
}

impl Handler<Records> for MemberActor {
    type Result = ();

    fn handle(&mut self, news: Records, _: &mut Context<Self>) {
        let mut view = self.shared.view();
        for record in news.records {
            view.take(record);
        }
    }
}

impl Handler<Compare> for MemberActor {
    type Result = ();

    fn handle(&mut self, theirs: Compare, ctx: &mut Context<Self>) {
        let (records, behind) = self.shared.view().compare(&theirs.stamps);
        if !records.is_empty() {
            self.send(&theirs.from, Records { records }, ctx);
        }
        if behind {
            let (from, stamps) = (self.id.addr.clone(), self.shared.view().stamps());
            self.send(&theirs.from, Compare { from, stamps }, ctx);
        }
    }
}

impl Handler<Loads> for MemberActor {
    type Result = ();

    fn handle(&mut self, told: Loads, _: &mut Context<Self>) {
        let mut view = self.shared.view();
        for (pid, waiting) in told.loads {
            if view.live.contains_key(pid.node()) {
                view.set_load(pid, waiting);
            }
        }
    }
}

impl Handler<Changed> for MemberActor {
    type Result = ();

    fn handle(&mut self, _: Changed, ctx: &mut Context<Self>) {
        let (own, live) = {
            let mut view = self.shared.view();
            self.shared.clean();
            view.own.version += 1;
            let live: Vec<NodeAddr> = view.live.keys().cloned().collect();
            (view.own.clone(), live)
        };
        for node in live {
            let records = vec![own.clone()];
            self.send(&node, Records { records }, ctx);
        }
    }
}

impl Handler<Watch> for MemberActor {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) {
        // Once, however many groups it is in.
        ctx.demonitor(&watch.0);
        ctx.monitor(&watch.0);
    }
}

impl Handler<Exited> for MemberActor {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Context<Self>) {
        if self.shared.view().forget(&exited.pid) {
            let _ = ctx.tell_self(Changed);
        }
    }
}
