//! A trace sees every message, where it is sent and where it is handled.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::{Arc, Mutex};

use tepui_runtime::{
    filter::{Filters, Traced},
    prelude::*,
    testkit,
    transport::MemoryNetwork,
};

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Forward")]
struct Forward(u64);

struct Relay(Option<AnyPid>);

impl Actor for Relay {
    type Context = Context<Self>;
}

impl Handler<Forward> for Relay {
    type Result = ();

    fn handle(&mut self, message: Forward, _: &mut Context<Self>) {
        if let Some(next) = &self.0 {
            next.tell(message).unwrap();
        }
    }
}

accepts!(Relay: Forward);

#[test]
fn a_trace_tells_who_sent_what_and_who_handled_it() {
    testkit::run(async |kit| {
        let (filters, seen) = (Filters::default(), Arc::new(Mutex::new(Vec::new())));
        let log = seen.clone();
        filters.trace(Arc::new(move |event| {
            let line = match event {
                Traced::Sent {
                    from,
                    to,
                    name,
                    body,
                } => {
                    let from = from.map_or("outside".to_owned(), ToString::to_string);
                    let body = body.map(|body| Forward::decode(body).unwrap().0);
                    format!("{from} -> {} {name} {body:?}", to.name())
                }
                Traced::Handled { by, name, .. } => format!("{} {name}", by.name()),
            };
            log.lock().unwrap().push(line);
        }));
        let builder = Node::builder(testkit::addr("a")).local();
        let network = MemoryNetwork::new();
        let node = builder
            .transport(network.transport())
            .seed(0)
            .filters(filters);
        let node = node.start().await.unwrap();
        let last = node.spawn("last", Relay(None)).unwrap();
        let first = node.spawn("first", Relay(Some(last.any()))).unwrap();
        first.tell(Forward(7)).unwrap();
        kit.settle().await;
        let sent = [
            "outside -> first test.Forward Some(7)",
            "first test.Forward",
        ];
        let passed_on = ["a:1 -> last test.Forward Some(7)", "last test.Forward"];
        assert_eq!(*seen.lock().unwrap(), [sent, passed_on].concat());
    });
}
