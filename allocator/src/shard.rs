//! The engine with many threads around it: events come in from any of them, one thread owns the engine, and
//! readers look at snapshots.
//!
//! ```text
//!   producers --> bounded queues --> owner: engine, in turns --> outcomes, to the owner's sink
//!                                        |
//!                                        +--> board of snapshots --> readers
//! ```
//! It is the same engine as on one thread, in batches; nothing in it is shared. Nobody waits for anybody but a
//! producer for room in its own queue, and the owner for something to do.
//!
//! Agents can be dealt out to several shards, each with an owner of its own: shards share nothing. Each is fair
//! among the frameworks that it has, over the agents that it has. Shares of the whole cluster are then as
//! fair as the shards are alike, so that agents of each kind belong on all of them.
//!
//! | part | file |
//! |---|---|
//! | from producers to the owner | `shard/ingest.rs`: `shard/lane.rs`, `shard/bell.rs` |
//! | what is said | `shard/event.rs` |
//! | turns | `shard/owner.rs` |
//! | what readers see | `shard/snapshot.rs`, `shard/pages.rs`, `shard/board.rs` |
//!
//! `allocator/models` explores schedules of these files (`make loom`, `make shuttle`).
//!
//! # Example
//! ```
//! use tepui_allocator::{Weight, engine::Engine, order::{NodeId, Rule}, shard::{Event, Outcome, Owner, ingest}};
//!
//! let mut engine = Engine::<2>::new(Rule::Sum);
//! let framework = engine.add_framework(NodeId::ROOT, Weight::ONE, [1000, 4096])?;
//! engine.add_agent([4000, 65536])?;
//! let mut owner = Owner::new(engine);
//! let board = owner.board();
//! let (producers, intake) = ingest(2, 1024);
//! let mut placed = 0;
//! std::thread::scope(|threads| {
//!     threads.spawn(|| owner.run(intake, &board, |_, outcomes| {
//!         placed += outcomes.iter().filter(|it| matches!(it, Outcome::Decided(_))).count();
//!     }));
//!     for mut producer in producers {
//!         threads.spawn(move || producer.push(Event::Want { seat: framework, more: 1 }));
//!     }
//! });
//! assert_eq!((placed, board.read().running), (2, 2));
//! # Ok::<(), tepui_allocator::engine::Refused>(())
//! ```

mod bell;
mod board;
mod event;
mod ingest;
mod lane;
mod owner;
mod pages;
mod snapshot;

/// What queues and board run on; loom's or shuttle's in the models.
mod sync {
    pub(super) use std::{
        hint::spin_loop as pause,
        sync::{
            Mutex, PoisonError, RwLock,
            atomic::{AtomicBool, AtomicUsize, Ordering, fence},
        },
        thread::{Thread, current, park, park_timeout},
    };
}

pub use self::{
    board::Board,
    event::{Event, Named, Outcome},
    ingest::{Closer, Intake, Producer, ingest},
    lane::Rejected,
    owner::Owner,
    snapshot::{AgentView, SeatView, Snapshot},
};
