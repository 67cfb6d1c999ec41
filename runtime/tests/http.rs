//! HTTP per actor over real TCP: what a user sees with curl, and what hostile clients do not break.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use tepui_runtime::{
    SpawnOptions,
    http::{
        BodySender, HttpAccess, HttpError, HttpLimits, HttpRequest, HttpResponse, HttpRoutes, Json,
        Method, Serves,
    },
    prelude::*,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

#[derive(Message)]
#[message(local)]
struct Hold(std::sync::mpsc::Receiver<()>);

#[derive(Default)]
struct Counter {
    count: u64,
    watchers: Vec<BodySender>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
        self.count += add.0;
        self.count
    }
}

impl Handler<Hold> for Counter {
    type Result = ();

    fn handle(&mut self, hold: Hold, _: &mut Context<Self>) {
        let _ = hold.0.recv();
    }
}

impl Serves for Counter {
    fn serve(routes: &mut HttpRoutes<Self>) {
        routes.get(
            "/count",
            "How often it was counted.",
            |counter: &mut Self, _, _| Json(counter.count),
        );
        routes.post(
            "/add/{n}",
            "Counts on.",
            |counter: &mut Self, request: HttpRequest, _| {
                counter.count += request.get::<u64>("n")?;
                for watcher in &counter.watchers {
                    let _ = watcher.try_send(format!("{}\n", counter.count));
                }
                Ok::<_, HttpError>(Json(counter.count))
            },
        );
        routes.post(
            "/echo",
            "Sends the body back.",
            |_, request: HttpRequest, _| request.text().map(str::to_owned),
        );
        routes.get(
            "/watch",
            "Each new count on a line.",
            |counter: &mut Self, _, _| {
                let (sender, response) = HttpResponse::pieces("text/plain");
                counter.watchers.push(sender);
                response
            },
        );
        routes.get("/trace", "The trace it runs in.", |_, _, _| {
            tepui_runtime::trace::current().map_or(String::new(), |trace| trace.to_string())
        });
        routes.get("/crash", "Panics.", |_, _, _| -> () { panic!("asked to") });
        routes.later(
            Method::GET,
            "/never",
            "Never answers.",
            |_, _, ctx, reply| {
                ctx.run_later(Duration::from_secs(3600), move |_, _| drop(reply));
            },
        );
    }
}

accepts!(Counter: Add);

async fn node_with(limits: HttpLimits) -> Node {
    let builder = Node::builder(NodeAddr::new("127.0.0.1", 0)).workers(2);
    builder.http_limits(limits).start().await.unwrap()
}

async fn node() -> Node {
    node_with(HttpLimits::default()).await
}

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.addr().to_string()).await.unwrap()
}

/// Sends `request` as it is; what comes back until the connection ends, which must be soon.
async fn raw(node: &Node, request: &[u8]) -> String {
    let mut stream = connect(node).await;
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset after the answer is an end, too.
    let _ = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn ask_as(node: &Node, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        node.addr(),
        body.len()
    );
    let answer = raw(node, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    Answer {
        status: head[9..12].parse().expect(head),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

async fn get(node: &Node, path: &str) -> Answer {
    ask_as(node, "GET", path, "", "").await
}

#[tokio::test]
async fn an_actor_answers_as_it_handles_messages() {
    let node = node().await;
    let counter = node.spawn("counter", Counter::default()).unwrap();
    counter.ask(Add(3), SECOND).await.unwrap();
    assert_eq!(get(&node, "/counter/count").await.body, "3\n");
    let added = ask_as(&node, "POST", "/counter/add/4?x=1", "", "").await;
    assert_eq!((added.status, &*added.body), (200, "7\n"));
    assert!(
        added.head.contains("content-type: application/json"),
        "{}",
        added.head
    );
    let echoed = ask_as(&node, "POST", "/counter/echo", "", "hé").await;
    assert_eq!(echoed.body, "hé");
    let head = ask_as(&node, "HEAD", "/counter/count", "", "").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(counter.ask(Add(0), SECOND).await, Ok(7));
    node.shutdown().await;
}

#[tokio::test]
async fn refusals_say_what_there_is_and_what_to_do() {
    let node = node().await;
    node.spawn("counter", Counter::default()).unwrap();
    let missing = get(&node, "/count").await;
    assert_eq!(missing.status, 404);
    assert!(
        missing.body.contains("no actor is named \\\"count\\\""),
        "{}",
        missing.body
    );
    assert!(missing.body.contains("\"/counter\""), "{}", missing.body);
    let missing = get(&node, "/counter/counts").await;
    assert_eq!(missing.status, 404);
    assert!(
        missing.body.contains("GET /counter/count\""),
        "{}",
        missing.body
    );
    let wrong = ask_as(&node, "DELETE", "/counter/count", "", "").await;
    assert_eq!(wrong.status, 405);
    assert!(
        wrong.head.contains("allow: get, head, options"),
        "{}",
        wrong.head
    );
    let options = ask_as(&node, "OPTIONS", "/counter/add/1", "", "").await;
    assert_eq!(options.status, 204);
    assert!(
        options.head.contains("allow: post, options"),
        "{}",
        options.head
    );
    let bad = ask_as(&node, "POST", "/counter/add/many", "", "").await;
    assert_eq!(bad.status, 400);
    let expected = "parameter `n` = \\\"many\\\": invalid digit";
    assert!(bad.body.contains(expected), "{}", bad.body);
    node.shutdown().await;
}

#[tokio::test]
async fn the_node_has_pages_of_its_own_for_people_and_programs() {
    let node = node().await;
    node.spawn("counter", Counter::default()).unwrap();
    node.spawn("a/b(1)", Counter::default()).unwrap();
    for path in [
        "/",
        "/help",
        "/__actors__",
        "/counter/help",
        "/counter",
        "/a/b(1)/help",
    ] {
        let json = get(&node, path).await;
        assert_eq!(json.status, 200, "{path}");
        let _: serde_json::Value = serde_json::from_str(&json.body).expect(path);
        let page = ask_as(&node, "GET", path, "Accept: text/html,*/*\r\n", "").await;
        assert!(
            page.head.contains("content-type: text/html"),
            "{}",
            page.head
        );
        assert!(page.body.starts_with("<!doctype html>") && page.body.ends_with("</html>\n"));
    }
    let help = get(&node, "/counter/help").await.body;
    assert!(
        help.contains("\"path\":\"/counter/add/{n}\",\"help\":\"Counts on.\""),
        "{help}"
    );
    assert_eq!(get(&node, "/a%2Fb(1)/count").await.body, "0\n");
    node.shutdown().await;
}

#[tokio::test]
async fn actors_and_metrics_count_what_happened() {
    let node = node().await;
    let supervision = Supervision::restart(3, Duration::from_secs(60));
    let counter = node
        .supervise("counter", supervision, Counter::default)
        .unwrap();
    counter.ask(Add(1), SECOND).await.unwrap();
    let crashed = get(&node, "/counter/crash").await;
    assert_eq!(crashed.status, 500);
    assert!(crashed.body.contains("crashed"), "{}", crashed.body);
    get(&node, "/counter/count").await;
    let actors: serde_json::Value =
        serde_json::from_str(&get(&node, "/__actors__").await.body).unwrap();
    let info = &actors["actors"][0];
    assert_eq!(info["name"], "counter");
    assert_eq!(
        (&info["handled"], &info["restarts"]),
        (&3.into(), &1.into())
    );
    assert_eq!(info["last_exit"], "crashed: asked to");
    let stopped = node.spawn("other", Counter::default()).unwrap();
    node.stop(stopped.as_any());
    node.monitor(stopped.as_any()).await;
    let metrics = get(&node, "/metrics").await;
    assert!(
        metrics.head.contains("application/openmetrics-text"),
        "{}",
        metrics.head
    );
    for line in [
        "tepui_actors{type=\"http::Counter\"} 1",
        "tepui_actors_ended_total{type=\"http::Counter\"} 1",
        "tepui_actor_restarts_total{type=\"http::Counter\"} 1",
        "tepui_messages_handled_total{type=\"http::Counter\"} 3",
        "tepui_dead_letters_total 0",
        "tepui_frames_total{direction=\"in\"} 0",
        "tepui_http_answers_total{class=\"5xx\"} 1",
        "# EOF",
    ] {
        assert!(
            metrics.body.lines().any(|l| l == line),
            "{line}\n{}",
            metrics.body
        );
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_full_mailbox_is_told_to_try_again() {
    let node = node().await;
    // The first worker has the listener, and the counter is going to block the other.
    node.spawn("first", Counter::default()).unwrap();
    let options = SpawnOptions {
        mailbox: Some(1),
        ..SpawnOptions::default()
    };
    let counter = node.spawn_as("counter", options, Counter::default).unwrap();
    let (release, hold) = std::sync::mpsc::channel();
    counter.tell(Hold(hold)).unwrap();
    while node.inspect().iter().all(|actor| actor.handled == 0) {
        tokio::task::yield_now().await;
    }
    counter.tell(Add(1)).unwrap();
    let full = get(&node, "/counter/count").await;
    assert_eq!(full.status, 503);
    assert!(full.head.contains("retry-after: 1"), "{}", full.head);
    assert!(full.body.contains("its mailbox is full"), "{}", full.body);
    release.send(()).unwrap();
    assert_eq!(counter.ask(Add(1), SECOND).await, Ok(2));
    node.shutdown().await;
}

#[tokio::test]
async fn a_body_can_come_in_pieces_and_ends_with_its_sender() {
    let node = node().await;
    node.spawn("counter", Counter::default()).unwrap();
    let mut watch = connect(&node).await;
    let request = format!(
        "GET /counter/watch HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        node.addr()
    );
    watch.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for n in 1..=3 {
        // The response's head shows that the actor has the sender.
        while !seen.contains("\r\n\r\n") || (n > 1 && !seen.contains(&format!("\n{}\n", n - 1))) {
            let mut piece = [0; 512];
            let read = watch.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        ask_as(&node, "POST", "/counter/add/1", "", "").await;
    }
    node.stop(&node.lookup("counter").unwrap());
    let mut rest = String::new();
    watch.read_to_string(&mut rest).await.unwrap();
    assert!(
        (seen + &rest).ends_with("2\r\n3\n\r\n0\r\n\r\n"),
        "{rest:?}"
    );
    node.shutdown().await;
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_named() {
    let limits = HttpLimits {
        answer_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let node = node_with(limits).await;
    node.spawn("counter", Counter::default()).unwrap();
    let late = get(&node, "/counter/never").await;
    assert_eq!(late.status, 504);
    assert!(
        late.body.contains("counter did not answer within 50ms"),
        "{}",
        late.body
    );
    node.shutdown().await;
}

#[tokio::test]
async fn pages_of_other_sites_and_false_names_are_refused() {
    let node = node().await;
    let foreign = ask_as(&node, "GET", "/help", "Origin: http://evil.example\r\n", "").await;
    assert_eq!(foreign.status, 403);
    let request = b"GET /help HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert!(raw(&node, request).await.starts_with("HTTP/1.1 403"));
    node.shutdown().await;
    let builder = Node::builder(NodeAddr::new("127.0.0.1", 0)).workers(1);
    let closed = builder.http(HttpAccess::Off).start().await.unwrap();
    let request = b"GET /help HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(raw(&closed, request).await, "");
    closed.shutdown().await;
}

#[tokio::test]
async fn hostile_requests_get_an_error_and_an_end() {
    let limits = HttpLimits {
        body_bytes: 1000,
        ..HttpLimits::default()
    };
    let node = node_with(limits).await;
    let counter = node.spawn("counter", Counter::default()).unwrap();
    let post = |rest: &str| {
        format!(
            "POST /counter/echo HTTP/1.1\r\nHost: {}\r\n{rest}",
            node.addr()
        )
    };
    let smuggled = "POST /counter/add/1000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let cases = [
        (
            "a long header",
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000)),
            "431",
        ),
        (
            "many headers",
            format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000)),
            "431",
        ),
        (
            "a long path",
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)),
            "4",
        ),
        ("no version", "GET /\r\n\r\n".to_owned(), "400"),
        ("another version", "GET / HTTP/9.9\r\n\r\n".to_owned(), "4"),
        (
            "a bad header name",
            "GET / HTTP/1.1\r\nA b: c\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "a zero byte",
            "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "two lengths",
            post(&format!(
                "Content-Length: 0\r\nContent-Length: 70\r\n\r\n{smuggled}"
            )),
            "400",
        ),
        (
            "a negative length",
            post("Content-Length: -1\r\n\r\n"),
            "400",
        ),
        (
            "a length with a plus",
            post(&format!("Content-Length: +0\r\n\r\n{smuggled}")),
            "400",
        ),
        (
            "chunks that are none",
            post("Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "400",
        ),
        (
            "chunked, but not last",
            post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
            "400",
        ),
        (
            "too large by its length",
            post("Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"),
            "413",
        ),
    ];
    for (what, request, status) in cases {
        let mut stream = connect(&node).await;
        stream.write_all(request.as_bytes()).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect(what)
            .ok();
        let answer = String::from_utf8_lossy(&answer);
        let good = answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(good, "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{what}: {answer}");
    }
    // HTTP/2 is not spoken here.
    assert_eq!(raw(&node, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
    // Length and chunks at once: whichever is believed, the connection ends with the answer.
    let both = post(&format!(
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    ));
    let answer = raw(&node, both.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    let chunks = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600)).repeat(2);
    let large = post(&format!(
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    assert!(
        raw(&node, large.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
    assert_eq!(counter.ask(Add(0), SECOND).await, Ok(0));
    node.shutdown().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_not_without_end() {
    let limits = HttpLimits {
        requests_per_connection: 5,
        ..HttpLimits::default()
    };
    let node = node_with(limits).await;
    node.spawn("counter", Counter::default()).unwrap();
    let one = format!(
        "POST /counter/add/1 HTTP/1.1\r\nHost: {}\r\n\r\n",
        node.addr()
    );
    let answers = raw(&node, one.repeat(8).as_bytes()).await;
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).map(|b| &b[..1]).collect();
    assert_eq!(bodies, ["1", "2", "3", "4", "5"], "{answers}");
    node.shutdown().await;
}

#[tokio::test]
async fn slow_clients_are_dropped_and_links_are_not_affected() {
    let short = Duration::from_millis(300);
    let limits = HttpLimits {
        connections: 8,
        header_timeout: short,
        body_timeout: short,
        ..HttpLimits::default()
    };
    let node = node_with(limits).await;
    node.spawn("counter", Counter::default()).unwrap();
    let other = Node::builder(NodeAddr::new("127.0.0.1", 0))
        .workers(1)
        .start()
        .await
        .unwrap();
    let afar = other.bind::<Counter>(&node.lookup("counter").unwrap());
    let slow_body = format!(
        "POST /counter/echo HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\nx",
        node.addr()
    );
    let mut open = Vec::new();
    for n in 0..8 {
        let mut stream = connect(&node).await;
        let begun: &[u8] = if n % 2 == 0 {
            b"GET /counter/count HT"
        } else {
            slow_body.as_bytes()
        };
        stream.write_all(begun).await.unwrap();
        open.push(stream);
    }
    while node.http_connections() < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(afar.ask(Add(1), SECOND).await, Ok(1));
    assert!(
        raw(&node, b"GET / HTTP/1.1\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 503")
    );
    for mut stream in open {
        let mut rest = String::new();
        let reading = stream.read_to_string(&mut rest);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("an end")
            .ok();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 408"),
            "{rest}"
        );
    }
    assert_eq!(get(&node, "/counter/count").await.body, "1\n");
    assert_eq!(afar.ask(Add(1), SECOND).await, Ok(2));
    other.shutdown().await;
    node.shutdown().await;
}
