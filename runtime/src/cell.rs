//! A cell: what the rest of the world holds of an actor. Its PID, mailbox, routes and watchers;
//! the actor itself lives in `rt::life`. Continue with `cell/sending.rs`, and `cell/any.rs` for those who
//! do not know the actor's type.

mod any;
mod sending;

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

pub(crate) use self::any::AnyCell;
use crate::{
    AnyPid, Message, Node, Overflow, ambient,
    node::{
        SpawnOptions,
        monitors::{Watcher, table::Watchers},
    },
    rt::{
        ActixActor, Actor, Context, Handler,
        envelope::{Envelope, Letter, Routes},
        life::panic_text,
        raw::{mailbox::Mailbox, place::made},
        vitals::Vitals,
    },
};

const STOP: u8 = 1;
const KILL: u8 = 2;
const SUPERVISED: u8 = 4;
const LIVES_AGAIN: u8 = 8;

/// What an actor was told, and by whom it is looked after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) stop: bool,
    pub(crate) kill: bool,
    /// It is a supervisor's child.
    pub(crate) by_supervisor: bool,
}

pub(crate) struct Cell<A: ActixActor<Context = Context<A>>> {
    pub(crate) pid: AnyPid,
    pub(crate) mailbox: Mailbox<Envelope<A>>,
    routes: Arc<Routes<A>>,
    pub(crate) handled: AtomicU64,
    pub(crate) vitals: Vitals,
    /// A panicking handler does not end the actor.
    pub(crate) resumes: bool,
    /// What it was told, as in [`Asked`].
    asked: AtomicU8,
    overflow: Overflow,
    watchers: Watchers<Watcher>,
    #[cfg(feature = "testkit")]
    filters: Option<crate::filter::Filters>,
}

impl<A: Actor> Cell<A> {
    pub(crate) fn new(
        node: &Node,
        pid: AnyPid,
        options: &SpawnOptions,
        routes: Arc<Routes<A>>,
    ) -> Self {
        let capacity = options.mailbox.unwrap_or(node.inner.mailbox_capacity);
        let overflow = options.overflow;
        Self {
            pid,
            mailbox: Mailbox::new(capacity, overflow == Overflow::DropOldest),
            overflow,
            resumes: options.supervision.resume,
            routes,
            handled: AtomicU64::new(0),
            vitals: Vitals::of(ambient::actor_of(node)),
            asked: AtomicU8::new(0),
            watchers: Watchers::new(),
            #[cfg(feature = "testkit")]
            filters: None,
        }
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn with_filters(self, filters: Option<crate::filter::Filters>) -> Self {
        Self { filters, ..self }
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn trace_handled(&self, envelope: &Envelope<A>) {
        if let Some(filters) = &self.filters {
            filters.handled(&self.pid, envelope.name(), || envelope.body());
        }
    }

    /// It is a supervisor's child.
    pub(crate) fn supervised(&self) {
        self.asked.fetch_or(SUPERVISED, Ordering::AcqRel);
    }

    /// A message of the runtime's own, ahead of others; false when the actor has ended.
    pub(crate) fn post_first<M: Message>(&self, message: M) -> bool
    where
        A: Handler<M>,
    {
        self.mailbox
            .push_system(made(|place| Letter::told(message).seal(place)))
    }

    /// It may live again: between two lives it does not hear what it is told.
    pub(crate) fn lives_again(&self) {
        self.asked.fetch_or(LIVES_AGAIN, Ordering::SeqCst);
    }

    fn wake_between_lives(&self) {
        if self.asked.load(Ordering::SeqCst) & LIVES_AGAIN != 0
            && let Some(node) = self.routes.node()
        {
            node.inner.pausing.wake(&self.pid);
        }
    }

    /// Another life begins: orders to stop that came before are void.
    pub(crate) fn refresh(&self) {
        self.asked.fetch_and(!(STOP | KILL), Ordering::AcqRel);
        self.mailbox.clear_signals();
    }

    /// A handler panicked, and the actor goes on.
    pub(crate) fn resumed(&self, message: &str, panic: Box<dyn Any + Send>) {
        let why = panic_text(panic);
        tracing::warn!(pid = %self.pid, message, why, "handler panicked; actor resumed");
    }
}
