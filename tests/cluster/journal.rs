//! What a run leaves behind: the runtime's journal of a simulation.

pub use tepui_runtime::testkit::sim::Journal;
