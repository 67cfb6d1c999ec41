//! Handlers behave as in plain actix: the same actor on actix's context and on ours, the same
//! messages, the same log.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{actix, prelude::*, testkit};
use tokio::task::yield_now;

type Log = Arc<Mutex<Vec<String>>>;

/// What a message has its handler do.
#[derive(Clone, Copy, Debug)]
enum Do {
    /// Note it, at once.
    Now(u8),
    /// Note it, and note it again when a `ResponseActFuture` of some turns ends.
    Beside(u8),
    /// The same in an `AtomicResponse`.
    Atomic(u8),
    /// The same in a `ctx.wait`.
    Wait(u8),
    /// Two waits at once.
    Waits(u8),
    /// Spawn a future, and take it back.
    Cancelled(u8),
    /// Note it after a while.
    Later(u8),
    /// Stop.
    Stop,
    /// End at once.
    Terminate,
}

#[derive(Message)]
#[message(local)]
struct Plain(Do);

#[derive(Message)]
#[message(local)]
struct Beside(Do);

#[derive(Message)]
#[message(local)]
struct Atomic(Do);

/// The actor, written once for any context.
macro_rules! actor {
    ($name:ident, $context:ty) => {
        struct $name(Log, bool);

        impl $name {
            fn note(&self, what: &str, n: u8) {
                self.0.lock().unwrap().push(format!("{what}{n}"));
            }

            fn turns(&self, n: u8, end: &'static str) -> ResponseActFuture<Self, ()> {
                let turns = async {
                    for _ in 0..3 {
                        yield_now().await;
                    }
                };
                Box::pin(turns.into_actor(self).map(move |(), actor: &mut Self, _| {
                    actor.note(end, n);
                }))
            }
        }

        impl Actor for $name {
            type Context = $context;

            fn started(&mut self, _: &mut Self::Context) {
                self.note("started", 0);
            }

            fn stopping(&mut self, _: &mut Self::Context) -> Running {
                self.note("stopping", 0);
                match std::mem::take(&mut self.1) {
                    true => Running::Continue,
                    false => Running::Stop,
                }
            }

            fn stopped(&mut self, _: &mut Self::Context) {
                self.note("stopped", 0);
            }
        }

        impl Handler<Plain> for $name {
            type Result = ();

            fn handle(&mut self, message: Plain, ctx: &mut Self::Context) {
                match message.0 {
                    Do::Wait(n) => {
                        self.note("w+", n);
                        ctx.wait(self.turns(n, "w-"));
                    }
                    Do::Waits(n) => {
                        self.note("w+", n);
                        ctx.wait(self.turns(n, "first-"));
                        ctx.wait(self.turns(n, "second-"));
                    }
                    Do::Cancelled(n) => {
                        self.note("c", n);
                        let handle = ctx.spawn(self.turns(n, "cancelled"));
                        ctx.cancel_future(handle);
                    }
                    Do::Later(n) => {
                        let after = Duration::from_millis(10);
                        let _ = ctx.run_later(after, move |actor, _| actor.note("later", n));
                    }
                    Do::Stop => ctx.stop(),
                    Do::Terminate => ctx.terminate(),
                    Do::Now(n) | Do::Beside(n) | Do::Atomic(n) => self.note("", n),
                }
            }
        }

        impl Handler<Beside> for $name {
            type Result = ResponseActFuture<Self, ()>;

            fn handle(&mut self, message: Beside, _: &mut Self::Context) -> Self::Result {
                let Do::Beside(n) = message.0 else {
                    unreachable!()
                };
                self.note("f+", n);
                self.turns(n, "f-")
            }
        }

        impl Handler<Atomic> for $name {
            type Result = AtomicResponse<Self, ()>;

            fn handle(&mut self, message: Atomic, _: &mut Self::Context) -> Self::Result {
                let Do::Atomic(n) = message.0 else {
                    unreachable!()
                };
                self.note("a+", n);
                AtomicResponse::new(self.turns(n, "a-"))
            }
        }
    };
}

actor!(OnActix, actix::Context<Self>);
actor!(OnOurs, Context<Self>);
accepts!(OnOurs:);

/// The log, the same with plain actix and with ours.
fn both(script: &[Do], refuses: bool) -> Vec<String> {
    let (theirs, ours) = (Log::default(), Log::default());
    let result = Log::default();
    testkit::run(async |kit| {
        let addr = OnActix(theirs.clone(), refuses).start();
        for &step in script {
            match step {
                Do::Beside(_) => addr.do_send(Beside(step)),
                Do::Atomic(_) => addr.do_send(Atomic(step)),
                _ => addr.do_send(Plain(step)),
            }
        }
        kit.advance(Duration::from_secs(1)).await;
        let node = kit.node("a").await;
        let pid = node.spawn("x", OnOurs(ours.clone(), refuses)).unwrap();
        for &step in script {
            match step {
                Do::Beside(_) => pid.tell(Beside(step)).unwrap(),
                Do::Atomic(_) => pid.tell(Atomic(step)).unwrap(),
                _ => pid.tell(Plain(step)).unwrap(),
            }
        }
        kit.advance(Duration::from_secs(1)).await;
        drop(addr);
        let log = |log: &Log| log.lock().unwrap().clone();
        assert_eq!(log(&ours), log(&theirs), "{script:?}");
        *result.lock().unwrap() = log(&ours);
    });
    std::mem::take(&mut *result.lock().unwrap())
}

fn ours(script: &[Do]) -> String {
    both(script, false).join(" ")
}

#[test]
fn futures_run_beside_messages_and_atomic_responses_do_not() {
    use Do::{Atomic, Beside, Now};
    assert_eq!(
        ours(&[Now(0), Beside(1), Beside(2), Now(3)]),
        "started0 0 f+1 f+2 3 f-1 f-2"
    );
    assert_eq!(
        ours(&[Now(0), Atomic(1), Atomic(2), Now(3)]),
        "started0 0 a+1 a-1 a+2 a-2 3"
    );
}

#[test]
fn every_short_script_goes_as_with_actix() {
    // Without `Cancelled`: plain actix's poll does not end once a future was cancelled beside others.
    use Do::{Atomic, Beside, Later, Now, Stop, Terminate, Wait, Waits};
    let steps = [
        Now(1),
        Beside(2),
        Atomic(3),
        Wait(4),
        Waits(5),
        Later(7),
        Stop,
        Terminate,
    ];
    for a in steps {
        for b in steps {
            for c in [Now(8), Atomic(9), Stop] {
                both(&[Now(0), a, b, c, Now(10)], false);
            }
        }
    }
}

#[test]
fn a_cancelled_future_does_not_end() {
    use Do::{Cancelled, Now};
    assert_eq!(ours(&[Now(0), Cancelled(6), Now(1)]), "started0 0 c6 1");
}

#[test]
fn an_actor_can_refuse_to_stop() {
    use Do::{Atomic, Now, Stop, Wait};
    for script in [
        [Stop, Now(1), Now(2)],
        [Wait(1), Stop, Now(2)],
        [Atomic(1), Stop, Stop],
    ] {
        let log = both(&script, true);
        assert!(log.contains(&"stopping0".to_owned()));
    }
}

struct Both;

impl Actor for Both {
    type Context = Context<Self>;
}

#[derive(Message)]
#[message(local, reply = u8)]
struct Ask(u8);

impl Handler<Ask> for Both {
    type Result = u8;

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u8 {
        ask.0 + 1
    }
}

#[derive(Message)]
#[message(local)]
struct HandOut(tokio::sync::oneshot::Sender<actix::Addr<Both>>);

impl Handler<HandOut> for Both {
    type Result = ();

    fn handle(&mut self, out: HandOut, ctx: &mut Context<Self>) {
        assert!(out.0.send(ctx.address()).is_ok());
    }
}

accepts!(Both:);

#[test]
fn a_plain_actix_address_of_an_actor_of_ours_works() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let pid = node.spawn("x", Both).unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        pid.tell(HandOut(sender)).unwrap();
        let addr = receiver.await.unwrap();
        assert_eq!(addr.send(Ask(1)).await.unwrap(), 2);
        assert_eq!(addr.recipient::<Ask>().send(Ask(2)).await.unwrap(), 3);
        assert_eq!(pid.ask(Ask(3), Duration::from_secs(1)).await, Ok(4));
        node.stop(pid.as_any());
        kit.settle().await;
        assert!(pid.ask(Ask(3), Duration::from_secs(1)).await.is_err());
    });
}
