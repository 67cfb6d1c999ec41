//! A supervisor keeps its children alive; the one that asks notices no more than one lost question.
//!
//! `cargo run -p tepui-runtime --example supervision`

use std::time::Duration;

use tepui_runtime::{
    prelude::*,
    supervision::{Child, Supervisor},
};

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Divide", reply = i64)]
struct Divide(i64, i64);

#[derive(Actor, Default)]
struct Calculator {
    done: u32,
}

#[handlers]
impl Calculator {
    /// Panics for a zero, as Rust's division does.
    #[on]
    fn divide(&mut self, numbers: Divide) -> i64 {
        self.done += 1;
        println!("division {} of this life", self.done);
        numbers.0 / numbers.1
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder(NodeAddr::new("127.0.0.1", 0)).start().await?;
    let supervisor = Supervisor::one_for_one()
        .intensity(5, Duration::from_secs(10))
        .child(Child::permanent("calculator", Calculator::default))
        .start(&node, "office")?;
    supervisor.children().await;

    let second = Duration::from_secs(1);
    let calculator = node.lookup("calculator").expect("the child is there");
    for (a, b) in [(6, 3), (1, 0), (8, 2)] {
        match node.ask(&calculator, Divide(a, b), second).await {
            Ok(result) => println!("{a} / {b} = {result}"),
            Err(problem) => println!("{a} / {b}: {problem}"),
        }
    }
    node.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
