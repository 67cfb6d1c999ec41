//! The examples run. Each has a test at its end, which is compiled into this one.

#[path = "../examples/ask_deadline.rs"]
mod ask_deadline;
#[path = "../examples/http_counter.rs"]
mod http_counter;
#[path = "../examples/ping_pong.rs"]
mod ping_pong;
#[path = "../examples/remote.rs"]
mod remote;
#[path = "../examples/replicated_counter.rs"]
mod replicated_counter;
#[path = "../examples/supervision.rs"]
mod supervision;
#[path = "../examples/timers.rs"]
mod timers;
#[path = "../examples/worker_pool.rs"]
mod worker_pool;
