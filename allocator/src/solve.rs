//! Answers to textbook cases: who gets how much under dominant resource fairness and its relatives.
//!
//! For teaching, and for checking other implementations. Cases of whole tasks are filled by the
//! production order ([`crate::order::ShareTree`]); divisible ones are solved exactly, in rationals.
//!
//! | kind | input | answer |
//! |---|---|---|
//! | `flat-divisible` | `capacity: [..], users: [{demand: [..], weight, cap}]` | tasks of each user |
//! | `flat-tasks` | the same | whole tasks of each user |
//! | `tree-tasks` | `capacity, tree: {name, weight, children or demand, cap}` | `{leaf: tasks}` |
//! | `tree-churn` | `tree-tasks` and `events: [{ends: leaf}]` | `{"final": {leaf: tasks}}` |
//! | `servers-divisible` | `servers: [[..]..], users` (with `on: [server..]`) | weighted global dominant share of each user, or task share |
//! | `dynamic-arrivals` | `demands_per_dominant_share: [[..]..]` | the dominant shares after each arrival |
//!
//! Numbers are JSON numbers or texts `"p/q"`, not negative. `weight` is 1 and `cap` without limit unless
//! given. Ties go to the earlier declared. What a case may ask for is bounded (`limits`), so that none runs
//! for ever. Read `cases.rs` for the input, `flat.rs`, `tree.rs`, `servers.rs` and `arrivals.rs` for the kinds.

mod arrivals;
mod cases;
mod flat;
mod limits;
mod number;
mod servers;
mod simplex;
mod tree;

use serde_json::{Map, Value};

pub use self::number::Problem;
use self::{cases::Kind, number::Input};

/// Who is served next in cases of whole tasks, and by which rule divisible ones are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Hierarchical DRF.
    #[default]
    Hdrf,
    /// DRF over the leaves, with the weights on the way multiplied.
    Drf,
    /// Each node by the sum of what is below it, as Mesos sorts.
    Mesos,
    /// The part of the tasks that each could run alone, on all servers and without its constraints.
    //= tsf-2016, task share fairness
    Tsf,
}

/// Answers all cases of a document `{"cases": [{"id", "kind", ...}]}`: one object, id to answer. `explain`
/// is given a line for each decision.
///
/// # Errors
/// [`Problem`], which says where in the document what is wrong.
pub fn solve(
    document: &Value,
    policy: Policy,
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    let cases = Input::new(document).field("cases")?.list(limits::CASES)?;
    let mut answers = Map::new();
    for case in cases {
        let id = case.field("id")?.text()?;
        if answers.contains_key(id) {
            return Err(case
                .field("id")?
                .problem(format!("{id:?} is the id of an earlier case")));
        }
        explain(&format!("case {id}"));
        let answer = match cases::kind(&case)? {
            Kind::FlatDivisible => flat::divisible(&case, explain)?,
            Kind::FlatTasks => flat::tasks(&case, policy, explain)?,
            Kind::TreeTasks => tree::tasks(&case, policy, explain)?,
            Kind::TreeChurn => tree::churn(&case, policy, explain)?,
            Kind::ServersDivisible => servers::divisible(&case, policy, explain)?,
            Kind::DynamicArrivals => arrivals::shares(&case, explain)?,
        };
        answers.insert(id.to_owned(), answer);
    }
    Ok(Value::Object(answers))
}
