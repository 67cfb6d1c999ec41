//! The macros: what they write behaves as what is written by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use tepui_runtime::{
    http::{HttpRequest, Json},
    prelude::*,
    testkit,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.AddSlowly", reply = Option<String>)]
struct AddSlowly(u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Watch")]
struct Watch(AnyPid);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Gone", reply = Vec<String>)]
struct Gone;

#[derive(Actor, Default)]
#[actor(mailbox = 3, overflow = "fail", started = start, stopped = stop)]
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

    /// A reply that actix has no `MessageResponse` for.
    #[on]
    async fn add_slowly(&mut self, add: AddSlowly, _ctx: &mut Context<Self>) -> Option<String> {
        let before = self.count;
        tokio::task::yield_now().await;
        self.count = before + add.0;
        Some(self.count.to_string())
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

    /// Counts on, and waits in between.
    #[route(POST, "/add/{n}")]
    async fn add_over_http(
        &mut self,
        request: HttpRequest,
        _ctx: &mut Context<Self>,
    ) -> Result<Json<u64>, tepui_runtime::http::HttpError> {
        let before = self.count;
        tokio::task::yield_now().await;
        self.count = before + request.get::<u64>("n")?;
        Ok(Json(self.count))
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
        let (one, two) = tokio::join!(
            counter.ask(AddSlowly(1), SECOND),
            counter.ask(Add(1), SECOND)
        );
        assert_eq!((one, two), (Ok(Some("102".to_owned())), Ok(103)));
        let peer = there.spawn("peer", Keeper(7_u32)).unwrap();
        assert_eq!(here.ask(peer.as_any(), Add(1), SECOND).await, Ok(8));
        afar.ask(Watch(peer.any()), SECOND).await.unwrap();
        there.stop(peer.as_any());
        kit.settle().await;
        assert_eq!(afar.ask(Gone, SECOND).await.unwrap(), ["peer"]);
        there.stop(counter.as_any());
        assert_eq!(stopped.await, Ok(103));
    });
}

#[test]
fn an_actors_options_are_a_constant_for_the_spawn() {
    let options = Counter::SPAWN;
    let expected = SpawnOptions::new().mailbox(3).overflow(Overflow::Fail);
    assert_eq!(format!("{options:?}"), format!("{expected:?}"));
}

#[tokio::test]
async fn routes_hold_their_actor_across_awaits() {
    let node = Node::builder(NodeAddr::new("127.0.0.1", 0))
        .workers(1)
        .start()
        .await
        .unwrap();
    node.spawn("counter", Counter::default()).unwrap();
    let post = |n: u64| http(&node, format!("POST /counter/add/{n}"));
    let (one, two) = tokio::join!(post(1), post(2));
    assert!(
        [&one, &two]
            .iter()
            .any(|answer| answer.ends_with("\r\n103\n")),
        "{one} {two}"
    );
    assert!(
        http(&node, "GET /counter/count".to_owned())
            .await
            .ends_with("\r\n103\n")
    );
    let help = http(&node, "GET /counter/help".to_owned()).await;
    assert!(help.contains("Counts on, and waits in between."), "{help}");
    node.shutdown().await;
}

async fn http(node: &Node, request: String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let addr = node.addr();
    let mut stream = tokio::net::TcpStream::connect(addr.to_string())
        .await
        .unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
