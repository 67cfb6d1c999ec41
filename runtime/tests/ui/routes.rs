//! What `#[route]` cannot take.

use tepui_runtime::{http::Json, prelude::*};

#[derive(Actor)]
struct Wrong;

accepts!(Wrong:);

#[routes]
impl Wrong {
    #[route(GET, "/map")]
    fn map(&mut self) -> std::thread::Thread {
        std::thread::current()
    }
}

struct Unknown;

#[handlers]
impl Unknown {
    #[route(FETCH, "/x")]
    fn x(&mut self) -> Json<u64> {
        Json(1)
    }
}

struct Relative;

#[routes]
impl Relative {
    #[route(GET, "x")]
    fn x(&mut self) -> Json<u64> {
        Json(1)
    }
}

fn main() {}
