//! What `#[handlers]` cannot take.

use tepui_runtime::prelude::*;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Actor)]
struct Wrong;

#[handlers]
impl Wrong {
    #[on]
    fn add(&mut self, add: Add) -> String {
        add.0.to_string()
    }
}

struct NoMessage;

#[handlers]
impl NoMessage {
    #[on]
    fn add(&mut self) {}
}

struct Shared;

#[handlers]
impl Shared {
    #[on]
    fn add(&self, add: Add) -> u64 {
        add.0
    }
}

struct Twice;

#[handlers]
impl Twice {
    #[on]
    fn add(&mut self, add: Add) -> u64 {
        add.0
    }

    #[on]
    fn again(&mut self, add: Add) -> u64 {
        add.0
    }
}

struct None;

#[handlers]
impl None {
    fn add(&mut self) {}
}

fn main() {}
