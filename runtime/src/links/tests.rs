//! Links between nodes in memory, on a paused clock.

mod losses;
mod order;
mod strangers;
