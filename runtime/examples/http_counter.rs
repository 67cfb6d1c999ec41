//! A counter with messages and with HTTP.
//!
//! `cargo run -p tepui-runtime --example http_counter -- 8080`, then
//! `curl http://127.0.0.1:8080/counter/count`, or a browser at <http://127.0.0.1:8080/>.

use std::time::Duration;

use tepui_runtime::{
    http::{HttpError, HttpRequest, Json},
    prelude::*,
};

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Add", reply = u64)]
struct Add(u64);

#[derive(Actor, Default)]
struct Counter {
    count: u64,
}

#[handlers]
impl Counter {
    #[on]
    fn add(&mut self, add: Add) -> u64 {
        self.count += add.0;
        self.count
    }

    /// How often it was counted.
    #[route(GET, "/count")]
    fn count(&mut self) -> Json<u64> {
        Json(self.count)
    }

    /// Counts `n` further; answers with the new count.
    #[route(POST, "/add/{n}")]
    fn add_over_http(&mut self, request: HttpRequest) -> Result<Json<u64>, HttpError> {
        self.count += request.get::<u64>("n")?;
        Ok(Json(self.count))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let addr = NodeAddr::new("127.0.0.1", port.unwrap_or(0));
    let node = Node::builder(addr).start().await?;
    let counter = node.spawn("counter", Counter::default())?;
    counter.ask(Add(3), Duration::from_secs(1)).await?;
    println!("curl http://{}/counter/count", node.addr());
    if port.is_some() {
        // Until somebody ends the process.
        node.monitor(counter.as_any()).await;
    }
    node.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
