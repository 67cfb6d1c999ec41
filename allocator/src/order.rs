//! Who is next, kept up with every change instead of sorted when asked.
//!
//! [`Tournament`] finds the least of many keys; [`ShareTree`] is a tree of shares, whose inner nodes are
//! ordered by hierarchical DRF or by plain sums. Amounts are integers, keys are fixed point: equal
//! calls give equal orders on any machine.

mod reciprocal;
mod share_tree;
mod tournament;

pub use self::{
    share_tree::{Amounts, NodeId, Rule, ShareTree},
    tournament::{ABSENT, Ascending, Key, Tournament},
};
