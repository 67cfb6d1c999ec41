//! Questions with a deadline, and what becomes of those that are not answered in time.
//!
//! `cargo run -p tepui-runtime --example ask_deadline`

use std::time::Duration;

use tepui_runtime::prelude::*;

/// `reply` is the type of the answer.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Square", reply = u64)]
struct Square(u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Ponder", reply = u64)]
struct Ponder;

#[derive(Actor)]
struct Thinker;

#[handlers]
impl Thinker {
    #[on]
    fn square(&mut self, number: Square) -> u64 {
        number.0 * number.0
    }

    /// An `async` handler holds the actor while it waits: no other message comes in between.
    #[on]
    async fn ponder(&mut self, _: Ponder) -> u64 {
        tokio::time::timeout(Duration::from_secs(7_500_000), std::future::pending::<()>())
            .await
            .ok();
        42
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder(NodeAddr::new("127.0.0.1", 0)).start().await?;
    let thinker = node.spawn("thinker", Thinker)?;

    let nine = thinker.ask(Square(3), Duration::from_secs(1)).await?;
    println!("3 squared is {nine}");

    match thinker.ask(Ponder, Duration::from_millis(20)).await {
        Err(late @ AskError::Timeout { .. }) => println!("{late}"),
        other => panic!("an early answer: {other:?}"),
    }
    // It still ponders, so that a stop would have to wait. A kill does not.
    node.kill(thinker.as_any());
    let gone = thinker.ask(Square(4), Duration::from_secs(1)).await;
    println!("{}", gone.expect_err("it is gone"));
    node.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
