//! Two versions of one set of messages, each compiled, in both directions; and types that only one
//! of two nodes knows.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{Undeliverable, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

/// The messages and the actor as the older release has them.
mod old {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
    #[message(name = "shop.Order", version = 1, reply = Receipt)]
    pub(super) struct Order {
        pub(super) item: String,
        pub(super) count: u32,
        /// The newer release has no such field.
        pub(super) colour: String,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Receipt {
        pub(super) total: u64,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
    #[message(name = "shop.Cancel", version = 1)]
    pub(super) enum Cancel {
        All,
        One { item: String },
    }

    #[derive(Default)]
    pub(super) struct Shop(pub(super) Arc<Mutex<Vec<String>>>);

    impl Actor for Shop {
        type Context = Context<Self>;
    }

    impl Handler<Order> for Shop {
        type Result = MessageResult<Order>;

        fn handle(&mut self, order: Order, _: &mut Context<Self>) -> MessageResult<Order> {
            let line = format!("{} {} {}", order.count, order.colour, order.item);
            self.0.lock().unwrap().push(line);
            let total = u64::from(order.count) * 10;
            MessageResult(Receipt { total })
        }
    }

    impl Handler<Cancel> for Shop {
        type Result = ();

        fn handle(&mut self, cancel: Cancel, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(format!("{cancel:?}"));
        }
    }

    accepts!(Shop: Order, Cancel);
}

/// As the newer release has them: fields added, one taken away, a variant and a message added.
mod new {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
    #[message(name = "shop.Order", version = 2, reply = Receipt)]
    pub(super) struct Order {
        pub(super) item: String,
        #[serde(default)]
        pub(super) express: bool,
        pub(super) count: u32,
        #[serde(default = "nobody")]
        pub(super) customer: String,
        /// For the older release, which has no default for it.
        #[serde(skip_deserializing)]
        pub(super) colour: &'static str,
    }

    fn nobody() -> String {
        "nobody".into()
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Receipt {
        pub(super) total: u64,
        #[serde(default)]
        pub(super) days: Option<u32>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
    #[message(name = "shop.Cancel", version = 2)]
    pub(super) enum Cancel {
        All,
        One {
            item: String,
            #[serde(default)]
            why: Option<String>,
        },
        Since(u64),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
    #[message(name = "shop.Return", reply = u64)]
    pub(super) struct Return {
        pub(super) item: String,
    }

    #[derive(Default)]
    pub(super) struct Shop(pub(super) Arc<Mutex<Vec<String>>>);

    impl Actor for Shop {
        type Context = Context<Self>;
    }

    impl Handler<Order> for Shop {
        type Result = MessageResult<Order>;

        fn handle(&mut self, order: Order, _: &mut Context<Self>) -> MessageResult<Order> {
            let (count, item, customer) = (order.count, &order.item, &order.customer);
            let line = format!("{count} {item} for {customer}, express: {}", order.express);
            self.0.lock().unwrap().push(line);
            let days = Some(if order.express { 1 } else { 3 });
            let total = u64::from(order.count) * 10;
            MessageResult(Receipt { total, days })
        }
    }

    impl Handler<Cancel> for Shop {
        type Result = ();

        fn handle(&mut self, cancel: Cancel, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(format!("{cancel:?}"));
        }
    }

    impl Handler<Return> for Shop {
        type Result = u64;

        fn handle(&mut self, _: Return, _: &mut Context<Self>) -> u64 {
            1
        }
    }

    accepts!(Shop: Order, Cancel, Return);
}

/// An old node with an old shop, a new node with a new one, and what the shops wrote down.
struct World {
    old: Node,
    new: Node,
    old_shop: AnyPid,
    new_shop: AnyPid,
    old_book: Arc<Mutex<Vec<String>>>,
    new_book: Arc<Mutex<Vec<String>>>,
}

async fn world(kit: &testkit::TestKit) -> World {
    let (old, new) = (kit.node("old").await, kit.node("new").await);
    let (old_book, new_book) = (Arc::default(), Arc::default());
    let old_shop = old.spawn("shop", old::Shop(Arc::clone(&old_book))).unwrap();
    let new_shop = new.spawn("shop", new::Shop(Arc::clone(&new_book))).unwrap();
    World {
        old,
        new,
        old_shop: old_shop.any(),
        new_shop: new_shop.any(),
        old_book,
        new_book,
    }
}

#[test]
fn an_old_node_is_understood_by_a_new_one() {
    testkit::run(async |kit| {
        let w = world(&kit).await;
        let order = old::Order {
            item: "rope".into(),
            count: 3,
            colour: "red".into(),
        };
        let receipt = w.old.ask(&w.new_shop, order, SECOND).await.unwrap();
        assert_eq!(receipt, old::Receipt { total: 30 });
        w.old.tell(&w.new_shop, old::Cancel::All).unwrap();
        let item = "rope".to_owned();
        w.old.tell(&w.new_shop, old::Cancel::One { item }).unwrap();
        kit.settle().await;
        let expected = [
            "3 rope for nobody, express: false",
            "All",
            "One { item: \"rope\", why: None }",
        ];
        assert_eq!(*w.new_book.lock().unwrap(), expected);
    });
}

#[test]
fn a_new_node_is_understood_by_an_old_one() {
    testkit::run(async |kit| {
        let w = world(&kit).await;
        let order = new::Order {
            item: "rope".into(),
            express: true,
            count: 2,
            customer: "Ada".into(),
            colour: "blue",
        };
        let receipt = w.new.ask(&w.old_shop, order, SECOND).await.unwrap();
        let (total, days) = (20, None);
        assert_eq!(receipt, new::Receipt { total, days });
        let (item, why) = ("rope".to_owned(), Some("too long".to_owned()));
        w.new
            .tell(&w.old_shop, new::Cancel::One { item, why })
            .unwrap();
        kit.settle().await;
        let expected = ["2 blue rope", "One { item: \"rope\" }"];
        assert_eq!(*w.old_book.lock().unwrap(), expected);
    });
}

#[test]
fn what_an_old_node_does_not_know_is_told_to_the_sender_and_the_link_lives_on() {
    testkit::run(async |kit| {
        let w = world(&kit).await;
        let item = || "rope".to_owned();
        let asked = w
            .new
            .ask(&w.old_shop, new::Return { item: item() }, SECOND)
            .await
            .unwrap_err();
        let name = "shop.Return/1".to_owned();
        let reason = Undeliverable::NotAccepted { name };
        let pid = w.old_shop.clone();
        assert_eq!(asked, AskError::Undeliverable { pid, reason });
        assert_eq!(w.new.dead_letters(), 0, "the asker knows");
        // Told, not asked: an unknown type, and an unknown variant of a known one.
        let unknown = new::Return { item: item() };
        w.new.tell(&w.old_shop, unknown).unwrap();
        kit.settle().await;
        assert_eq!(w.new.dead_letters(), 1);
        w.new.tell(&w.old_shop, new::Cancel::Since(7)).unwrap();
        kit.settle().await;
        assert_eq!(w.new.dead_letters(), 2);
        w.new.tell(&w.old_shop, new::Cancel::All).unwrap();
        kit.settle().await;
        assert_eq!(*w.old_book.lock().unwrap(), ["All"]);
    });
}
