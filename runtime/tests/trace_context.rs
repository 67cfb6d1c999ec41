//! A trace goes from a client over HTTP through an actor to one on another node, and into spans.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{
    prelude::*,
    testkit,
    trace::{self, TraceContext},
};

const SECOND: Duration = Duration::from_secs(1);

/// Answered with the contexts of all handlers on the way.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Visit", reply = Vec<Option<TraceContext>>)]
struct Visit(Vec<AnyPid>);

#[derive(Actor)]
struct Stop;

#[handlers]
impl Stop {
    #[on]
    async fn visit(&mut self, mut visit: Visit) -> Vec<Option<TraceContext>> {
        tracing::info!(left = visit.0.len(), "visited");
        let mut seen = vec![trace::current()];
        if let Some(next) = visit.0.pop() {
            seen.extend(next.ask(visit, SECOND).await.unwrap());
            assert_eq!(trace::current(), seen[0], "after an await");
        }
        seen
    }

    #[on_exit]
    fn gone(&mut self, _: Exited) {}
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_handler_on_the_way_is_a_child_of_the_one_before() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        testkit::run(async |kit| {
            let (a, b) = (kit.node("a").await, kit.node("b").await);
            let first = a.spawn("first", Stop).unwrap();
            let next = a.spawn("next", Stop).unwrap();
            let last = b.spawn("last", Stop).unwrap();
            let way = || Visit(vec![last.any(), next.any()]);
            let untraced = first.ask(way(), SECOND).await.unwrap();
            assert_eq!(untraced, [None, None, None]);
            let context = a.new_trace();
            let seen = trace::within(context, first.ask(way(), SECOND))
                .await
                .unwrap();
            let seen: Vec<TraceContext> = seen.into_iter().map(Option::unwrap).collect();
            assert!(seen.iter().all(|c| c.trace_id() == context.trace_id()));
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let mut parent = context;
            for (own, pid) in seen.into_iter().zip([first.any(), next.any(), last.any()]) {
                assert_ne!(own.span_id(), parent.span_id());
                let span = format!(
                    "handle{{actor={pid} test.Visit trace_id={} span_id={} parent_id={}}}",
                    own.trace_id(),
                    own.span_id(),
                    parent.span_id(),
                );
                assert!(text.contains(&span), "{span}\n{text}");
                parent = own;
            }
            assert_eq!(trace::current(), None);
        });
    });
}
