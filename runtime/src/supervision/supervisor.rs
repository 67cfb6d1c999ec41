//! The supervisor: an actor that carries out what `tree.rs` decides.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use actix::{
    ActorContext, ActorFutureExt, AsyncContext, Handler, MessageResult, Running, WrapFuture,
};
use tokio::sync::oneshot;

use super::{
    Child, ChildInfo, StartChildError,
    intensity::{BackOff, Limit},
    keeper::End,
    slot::{ChildKeeper, Event, Events, Slot},
    tree::{ChildId, Effect, Pause, Policy, Strategy, Tree},
};
use crate::{
    AnyPid, ExitReason, Message, Node, Pid, SpawnError,
    cell::{AnyCell, Cell},
    rt::{ActixActor, Context, timers::TimerHandle},
};

/// A supervisor to be: a strategy, limits and children. See [`Supervisor::start`].
///
/// ```
/// # use std::time::Duration;
/// # use tepui_runtime::{prelude::*, supervision::{Child, Supervisor}, testkit};
/// # struct Store; impl Actor for Store { type Context = Context<Self>; } accepts!(Store:);
/// # struct Index; impl Actor for Index { type Context = Context<Self>; } accepts!(Index:);
/// # testkit::run(async |kit| {
/// # let node = kit.node("a").await;
/// let supervisor = Supervisor::rest_for_one()
///     .intensity(5, Duration::from_secs(10))
///     .back_off(Duration::from_millis(50), Duration::from_secs(2))
///     .child(Child::permanent("store", || Store))
///     .child(Child::permanent("index", || Index))
///     .start(&node, "data")
///     .expect("the name is free");
/// assert_eq!(supervisor.children().await.len(), 2);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    policy: Policy,
    children: Vec<Child>,
}

impl Supervisor {
    fn new(strategy: Strategy) -> Self {
        let limit = Limit {
            max: 3,
            within: Duration::from_secs(5),
        };
        let policy = Policy {
            strategy,
            limit,
            back_off: BackOff::NONE,
        };
        Self {
            policy,
            children: Vec::new(),
        }
    }

    /// Only the child that ended is made anew.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// All children are stopped, and made anew in order.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// The child that ended and those after it are stopped, and made anew in order.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// At most `max` restarts of all children together `within` a span (default 3 within 5 s); one
    /// more, and the supervisor stops its children and fails.
    pub fn intensity(mut self, max: usize, within: Duration) -> Self {
        self.policy.limit = Limit { max, within };
        self
    }

    /// Waits before a restart: `min`, doubled with each restart in a row of the same child, at most
    /// `max`. A child that lives for the span of the intensity begins a new row.
    pub fn back_off(mut self, min: Duration, max: Duration) -> Self {
        self.policy.back_off = BackOff { min, max };
        self
    }

    /// Adds a child; children start in the order in which they are added, each when `started` of
    /// the one before has returned, and stop in reverse.
    pub fn child(mut self, child: Child) -> Self {
        self.children.push(child);
        self
    }

    /// Starts the supervisor under `name`, and it its children.
    ///
    /// # Errors
    /// [`SpawnError`]: the supervisor's name is taken or bad, or the node is shut down.
    pub fn start(self, node: &Node, name: &str) -> Result<SupervisorPid, SpawnError> {
        let pid = node.spawn_with(name, move || self.into_actor())?;
        Ok(SupervisorPid(pid))
    }

    pub(crate) fn into_actor(self) -> SupervisorActor {
        SupervisorActor {
            tree: Tree::new(self.policy),
            specs: self.children,
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            life: 0,
            finished: false,
        }
    }
}

/// A running supervisor; a clone is the same one.
#[derive(Clone, Debug)]
pub struct SupervisorPid(Pid<SupervisorActor>);

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

impl SupervisorPid {
    /// Its address.
    pub fn pid(&self) -> AnyPid {
        self.0.any()
    }

    /// Adds a child behind the others, and waits until it is up.
    ///
    /// # Errors
    /// [`StartChildError`]; the child is then not added.
    pub async fn start_child(&self, child: Child) -> Result<AnyPid, StartChildError> {
        let (done, outcome) = oneshot::channel();
        let added = self.0.tell_wait(StartChild { child, done }).await;
        added.map_err(|_| StartChildError::Ending)?;
        outcome.await.unwrap_or(Err(StartChildError::Ending))
    }

    /// Stops the child of that name, waits until it has ended, and forgets it; false if there is
    /// none.
    pub async fn stop_child(&self, name: &str) -> bool {
        let (done, outcome) = oneshot::channel();
        let name = name.to_owned();
        let told = self.0.tell_wait(StopChild { name, done }).await;
        told.is_ok() && outcome.await.unwrap_or(true)
    }

    /// The children in their order; none if the supervisor has ended.
    pub async fn children(&self) -> Vec<ChildInfo> {
        self.0.ask(Children, PATIENCE).await.unwrap_or_default()
    }
}

#[derive(Message)]
#[message(local)]
struct StartChild {
    child: Child,
    done: oneshot::Sender<Result<AnyPid, StartChildError>>,
}

#[derive(Message)]
#[message(local)]
struct StopChild {
    name: String,
    done: oneshot::Sender<bool>,
}

#[derive(Message)]
#[message(local, reply = Vec<ChildInfo>)]
struct Children;

/// From a child's life, ahead of other messages.
#[derive(Message)]
#[message(local)]
struct ChildEvent {
    life: u64,
    child: ChildId,
    event: Event,
}

struct Supervised {
    spec: Child,
    cell: Option<Arc<dyn AnyCell>>,
    slot: Arc<Slot>,
    lives: u64,
    patience: Option<TimerHandle>,
    starter: Option<oneshot::Sender<Result<AnyPid, StartChildError>>>,
    stoppers: Vec<oneshot::Sender<bool>>,
}

/// The actor behind a [`SupervisorPid`].
pub struct SupervisorActor {
    tree: Tree,
    specs: Vec<Child>,
    children: BTreeMap<ChildId, Supervised>,
    names: BTreeMap<Arc<str>, ChildId>,
    /// Tells this life from an earlier one, whose children may still be on their way out.
    life: u64,
    finished: bool,
}

impl ActixActor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.life = ctx.node().unique();
        for spec in mem::take(&mut self.specs) {
            self.add(spec, None, ctx);
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        if !self.finished {
            let mut effects = Vec::new();
            self.tree.stop_all(&mut effects);
            self.carry_out(effects, ctx);
        }
        match self.finished {
            true => Running::Stop,
            false => Running::Continue,
        }
    }
}

crate::accepts!(SupervisorActor:);

impl SupervisorActor {
    fn add(
        &mut self,
        spec: Child,
        starter: Option<oneshot::Sender<Result<AnyPid, StartChildError>>>,
        ctx: &mut Context<Self>,
    ) {
        let starter = match starter {
            Some(starter) if self.names.contains_key(&spec.name) => {
                let name = spec.name.to_string();
                let taken = SpawnError::NameTaken { name: name.clone() };
                let reason = ExitReason::Failed(taken.to_string());
                let _ = starter.send(Err(StartChildError::Failed { name, reason }));
                return;
            }
            starter => starter,
        };
        let mut effects = Vec::new();
        let (kind, span) = (spec.kind, spec.stop_within);
        let Some(id) = self.tree.add(kind, span, starter.is_some(), &mut effects) else {
            if let Some(starter) = starter {
                let _ = starter.send(Err(StartChildError::Ending));
            }
            return;
        };
        self.names.entry(spec.name.clone()).or_insert(id);
        let child = Supervised {
            spec,
            cell: None,
            slot: Arc::default(),
            lives: 0,
            patience: None,
            starter,
            stoppers: Vec::new(),
        };
        self.children.insert(id, child);
        self.carry_out(effects, ctx);
    }

    fn carry_out(&mut self, mut effects: Vec<Effect>, ctx: &mut Context<Self>) {
        // What is carried out may have effects of its own, behind those that are due.
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects {
                self.effect(effect, &mut more, ctx);
            }
            effects = more;
        }
    }

    fn effect(&mut self, effect: Effect, more: &mut Vec<Effect>, ctx: &mut Context<Self>) {
        match effect {
            Effect::Start(id) => self.start(id, more, ctx),
            Effect::Stop(id, span) => self.stop(id, span, ctx),
            Effect::Kill(id) => {
                if let Some(cell) = self.children.get(&id).and_then(|child| child.cell.as_ref()) {
                    tracing::warn!(pid = %cell.pid(), "child did not stop in time; killing it");
                    cell.kill();
                }
            }
            Effect::Bury(id) => self.bury(id, ctx),
            Effect::Refuse(id, reason) => {
                if let Some(child) = self.children.get_mut(&id) {
                    let name = child.spec.name.to_string();
                    if let Some(starter) = child.starter.take() {
                        let _ = starter.send(Err(StartChildError::Failed { name, reason }));
                    }
                }
                self.bury(id, ctx);
            }
            Effect::Pause(pause, span) => {
                ctx.run_later(span, move |actor, ctx| actor.resume(pause, ctx));
            }
            Effect::Finish(why) => {
                self.finished = true;
                match why {
                    Some(why) => ctx.fail(why),
                    None => ctx.stop(),
                }
            }
        }
    }

    fn start(&mut self, id: ChildId, more: &mut Vec<Effect>, ctx: &mut Context<Self>) {
        let child = self
            .children
            .get_mut(&id)
            .expect("the tree knows its children");
        child.lives += 1;
        if child.cell.is_some() {
            return child.slot.live();
        }
        let keeper = ChildKeeper::new(self.life, id, ctx.cell().clone(), child.slot.clone());
        match child.spec.start(ctx.node(), Box::new(keeper)) {
            Ok(cell) => child.cell = Some(cell),
            Err(error) => self.not_started(id, &error, more, ctx),
        }
    }

    /// The name may still be borne by an actor that is on its way out, as the child of an earlier
    /// life of this supervisor; then its end is waited for.
    fn not_started(
        &mut self,
        id: ChildId,
        error: &SpawnError,
        more: &mut Vec<Effect>,
        ctx: &mut Context<Self>,
    ) {
        if let SpawnError::NameTaken { name } = error {
            let bearer = ctx
                .node()
                .lookup(name)
                .and_then(|pid| ctx.node().cell(&pid));
            let leaving = match &bearer {
                Some(cell) => cell.asked().stop || cell.asked().kill,
                None => true,
            };
            if leaving {
                let (node, pid) = (ctx.node().clone(), bearer.map(|cell| cell.pid().clone()));
                let gone = async move {
                    if let Some(pid) = pid {
                        node.monitor(&pid).await;
                    }
                };
                ctx.spawn(gone.into_actor(self).map(move |(), actor: &mut Self, ctx| {
                    if actor.tree.is_starting(id) {
                        let mut effects = Vec::new();
                        actor.start(id, &mut effects, ctx);
                        actor.carry_out(effects, ctx);
                    }
                }));
                return;
            }
        }
        let reason = ExitReason::Failed(error.to_string());
        self.tree.ended(id, &reason, false, ctx.now(), more);
    }

    fn stop(&mut self, id: ChildId, span: Duration, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        if let Some(cell) = &child.cell {
            cell.stop();
        }
        if span != Duration::MAX {
            let late = ctx.run_later(span, move |actor: &mut Self, ctx| {
                let mut effects = Vec::new();
                actor.tree.too_slow(id, &mut effects);
                actor.carry_out(effects, ctx);
            });
            self.children.get_mut(&id).expect("as before").patience = Some(late);
        }
    }

    fn resume(&mut self, pause: Pause, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.tree.resume(pause, &mut effects);
        self.carry_out(effects, ctx);
    }

    fn bury(&mut self, id: ChildId, ctx: &mut Context<Self>) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        if self.names.get(&child.spec.name) == Some(&id) {
            self.names.remove(&child.spec.name);
        }
        child.slot.bury();
        if child.stoppers.is_empty() {
            return;
        }
        let node = ctx.node().clone();
        let buried = async move {
            if let Some(cell) = child.cell {
                node.monitor(cell.pid()).await;
            }
            for stopper in child.stoppers {
                let _ = stopper.send(true);
            }
        };
        ctx.spawn(buried.into_actor(self));
    }
}

impl Drop for SupervisorActor {
    /// Killed, or crashed by a fault of its own: no child outlives its supervisor.
    fn drop(&mut self) {
        for child in self.children.values().rev() {
            child.slot.bury();
            if let Some(cell) = &child.cell {
                cell.kill();
            }
        }
    }
}

impl Handler<StartChild> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, start: StartChild, ctx: &mut Context<Self>) {
        self.add(start.child, Some(start.done), ctx);
    }
}

impl Handler<StopChild> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, stop: StopChild, ctx: &mut Context<Self>) {
        let id = self.names.get(stop.name.as_str()).copied();
        let Some((id, child)) = id.and_then(|id| Some((id, self.children.get_mut(&id)?))) else {
            let _ = stop.done.send(false);
            return;
        };
        child.stoppers.push(stop.done);
        let mut effects = Vec::new();
        self.tree.stop_child(id, &mut effects);
        self.carry_out(effects, ctx);
    }
}

impl Handler<Children> for SupervisorActor {
    type Result = MessageResult<Children>;

    fn handle(&mut self, _: Children, _: &mut Context<Self>) -> MessageResult<Children> {
        let info = |(id, up)| {
            let child: &Supervised = self.children.get(&id)?;
            Some(ChildInfo {
                name: child.spec.name.to_string(),
                pid: child.cell.as_ref().map(|cell| cell.pid().clone()),
                kind: child.spec.kind,
                up,
                restarts: child.lives.saturating_sub(1),
            })
        };
        MessageResult(self.tree.children().filter_map(info).collect())
    }
}

impl Handler<ChildEvent> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, event: ChildEvent, ctx: &mut Context<Self>) {
        let ChildEvent { life, child, event } = event;
        if life != self.life {
            return;
        }
        let id = child;
        let mut effects = Vec::new();
        match event {
            Event::Started => {
                if let Some(child) = self.children.get_mut(&id) {
                    let pid = child.cell.as_ref().map(|cell| cell.pid().clone());
                    if let (Some(starter), Some(pid)) = (child.starter.take(), pid) {
                        let _ = starter.send(Ok(pid));
                    }
                }
                self.tree.started(id, &mut effects);
            }
            Event::Ended(End { reason, for_good }) => {
                let late = self
                    .children
                    .get_mut(&id)
                    .and_then(|child| child.patience.take());
                if let Some(late) = late {
                    ctx.cancel_timer(late);
                }
                if ctx.node().is_stopped() {
                    self.tree.stop_all(&mut effects);
                }
                self.tree
                    .ended(id, &reason, for_good, ctx.now(), &mut effects);
            }
        }
        self.carry_out(effects, ctx);
    }
}

impl Events for Cell<SupervisorActor> {
    fn event(&self, life: u64, child: ChildId, event: Event) -> bool {
        self.post_first(ChildEvent { life, child, event })
    }
}
