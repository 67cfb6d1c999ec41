//! Two actors send a ball to and fro.
//!
//! `cargo run -p tepui-runtime --example ping_pong`

use tepui_runtime::prelude::*;

/// A message is a plain type; whoever knows a PID can send it.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Ball")]
struct Ball {
    from: AnyPid,
    hits_left: u32,
}

/// An actor is a plain type, too. Nobody else touches its fields.
#[derive(Actor)]
struct Player {
    hits: u32,
}

/// Each method marked `#[on]` handles the messages of its parameter's type, one at a time.
#[handlers]
impl Player {
    #[on]
    fn hit(&mut self, ball: Ball, ctx: &mut Context<Self>) {
        self.hits += 1;
        if ball.hits_left == 0 {
            println!(
                "{} has the ball after {} hits of its own",
                ctx.any_pid(),
                self.hits
            );
            return ctx.stop();
        }
        let back = Ball {
            from: ctx.any_pid(),
            hits_left: ball.hits_left - 1,
        };
        // A send that fails hands the message back; here it means that the other one left.
        if ball.from.tell(back).is_err() {
            ctx.stop();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder(NodeAddr::new("127.0.0.1", 0)).start().await?;
    let ada = node.spawn("ada", Player { hits: 0 })?;
    let ben = node.spawn("ben", Player { hits: 0 })?;
    let serve = Ball {
        from: ben.any(),
        hits_left: 999,
    };
    ada.tell(serve)?;
    let exited = node.monitor(ben.as_any()).await;
    println!("{} {}", exited.pid.name(), exited.reason);
    node.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
