//! What `#[derive(Message)]` and `#[derive(Actor)]` cannot take.

use tepui_runtime::prelude::*;

#[derive(Serialize, Deserialize, Message)]
#[message(nam = "x")]
struct Misspelt;

#[derive(Message)]
struct NotSerialisable(std::thread::Thread);

#[derive(Actor)]
#[actor(overflow = "explode")]
struct Exploding;

fn main() {}
