//! The macros: what they write behaves as what is written by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use tepui_runtime::{http::Json, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Watch")]
struct Watch(AnyPid);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Gone", reply = Vec<String>)]
struct Gone;

#[derive(Actor, Default)]
#[actor(started = start, stopped = stop)]
struct Counter {
    count: u64,
    gone: Vec<String>,
    on_stop: Option<tokio::sync::oneshot::Sender<u64>>,
}

#[handlers]
impl Counter {
    fn start(&mut self, _: &mut Context<Self>) {
        self.count = 100;
    }

    fn stop(&mut self, _: &mut Context<Self>) {
        if let Some(on_stop) = self.on_stop.take() {
            on_stop.send(self.count).ok();
        }
    }

    #[on]
    fn add(&mut self, add: Add) -> u64 {
        self.count += add.0;
        self.count
    }

    #[on]
    fn watch(&mut self, watch: Watch, ctx: &mut Context<Self>) {
        ctx.monitor(&watch.0);
    }

    #[on]
    fn gone(&mut self, _: Gone) -> Vec<String> {
        self.gone.clone()
    }

    #[on_exit]
    fn peer_gone(&mut self, exited: Exited) {
        self.gone.push(exited.pid.name().to_owned());
    }
}

#[routes]
impl Counter {
    /// How often it was counted.
    #[route(GET, "/count")]
    fn show(&mut self) -> Json<u64> {
        Json(self.count)
    }
}

#[derive(Actor)]
struct Keeper<T: Unpin + 'static>(T);

#[handlers]
impl<T: Unpin + Into<u64> + Copy + 'static> Keeper<T> {
    #[on]
    fn add(&mut self, add: Add) -> u64 {
        self.0.into() + add.0
    }
}

#[test]
fn handlers_take_messages_from_near_and_far() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (on_stop, stopped) = tokio::sync::oneshot::channel();
        let counter = Counter {
            on_stop: Some(on_stop),
            ..Counter::default()
        };
        let counter = there.spawn("counter", counter).unwrap();
        let afar = here.bind::<Counter>(counter.as_any());
        assert_eq!(afar.ask(Add(1), SECOND).await, Ok(101));
        let peer = there.spawn("peer", Keeper(7_u32)).unwrap();
        assert_eq!(here.ask(peer.as_any(), Add(1), SECOND).await, Ok(8));
        afar.ask(Watch(peer.any()), SECOND).await.unwrap();
        there.stop(peer.as_any());
        kit.settle().await;
        assert_eq!(afar.ask(Gone, SECOND).await.unwrap(), ["peer"]);
        there.stop(counter.as_any());
        assert_eq!(stopped.await, Ok(101));
    });
}
