//! Links between nodes in memory, on a paused clock.

mod dialling;
mod faults;
mod flow;
mod losses;
mod order;
mod strangers;
