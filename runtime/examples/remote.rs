//! Two nodes: the same calls, and word when the other one ends.
//!
//! `cargo run -p tepui-runtime --example remote`

use std::time::Duration;

use tepui_runtime::prelude::*;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Greet", reply = String)]
struct Greet {
    name: String,
}

#[derive(Actor)]
struct Greeter;

#[handlers]
impl Greeter {
    #[on]
    fn greet(&mut self, greet: Greet, ctx: &mut Context<Self>) -> String {
        format!("hello {}, here is {}", greet.name, ctx.any_pid().node())
    }
}

async fn start() -> Result<Node, tepui_runtime::StartError> {
    let addr = NodeAddr::new("127.0.0.1", 0);
    Node::builder(addr).workers(1).start().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two processes in truth; the calls are the same.
    let (here, there) = (start().await?, start().await?);
    there.spawn("greeter", Greeter)?;

    // All that one needs to know of an actor is its PID: text, and data in messages.
    let text = format!("greeter@{}", there.addr());
    let greeter = here.bind::<Greeter>(&text.parse()?);
    let name = "ada".to_owned();
    println!(
        "{}",
        greeter.ask(Greet { name }, Duration::from_secs(5)).await?
    );

    let exited = here.monitor(greeter.as_any());
    let (exited, ()) = tokio::join!(exited, there.shutdown());
    println!("{}: {}", exited.pid, exited.reason);
    here.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
