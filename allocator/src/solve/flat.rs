//! Users side by side on one pool.

use num_rational::BigRational;
use num_traits::Zero;
use serde_json::Value;

use super::{
    Policy, cases, limits,
    number::{Input, Problem, answer},
    tree::{self, Branch},
};

/// Progressive filling in rationals: all keys (dominant share by weight) rise together; a user stops when
/// its cap is met or a resource that it uses is gone.
//= drf-2011 §4
pub(super) fn divisible(case: &Input<'_>, explain: &mut dyn FnMut(&str)) -> Result<Value, Problem> {
    let capacity = cases::capacity(case)?;
    let users = cases::users(case, capacity.len(), limits::USERS)?;
    let dominant: Vec<_> = users.iter().map(|user| user.dominant(&capacity)).collect();
    let mut free = capacity.clone();
    let mut tasks = vec![BigRational::zero(); users.len()];
    // How many tasks a user gets for each unit of the key; none for who gets nothing more.
    let mut rates: Vec<Option<BigRational>> = Vec::new();
    for (at, user) in users.iter().enumerate() {
        rates.push(match &dominant[at] {
            None => None,
            Some(part) if part.is_zero() => {
                tasks[at] = user.cap.clone().unwrap_or_default();
                None
            }
            Some(part) => Some(&user.weight / part),
        });
    }
    let mut key = BigRational::zero();
    loop {
        for (rate, (user, tasks)) in rates.iter_mut().zip(users.iter().zip(&tasks)) {
            let gone =
                |(each, free): (&BigRational, &BigRational)| !each.is_zero() && free.is_zero();
            let met = user.cap.as_ref().is_some_and(|cap| tasks >= cap);
            if met || user.demand.iter().zip(&free).any(gone) {
                *rate = None;
            }
        }
        let mut step: Option<BigRational> = None;
        let mut at_most = |limit: BigRational| {
            step = Some(step.take().map_or(limit.clone(), |least| least.min(limit)));
        };
        for (at, user) in users.iter().enumerate() {
            if let (Some(rate), Some(cap)) = (&rates[at], &user.cap) {
                at_most((cap - &tasks[at]) / rate);
            }
        }
        for (j, free) in free.iter().enumerate() {
            let uses = users.iter().zip(&rates);
            let use_of = uses.filter_map(|(user, rate)| Some(&user.demand[j] * rate.as_ref()?));
            let together: BigRational = use_of.sum();
            if !together.is_zero() {
                at_most(free / together);
            }
        }
        let Some(step) = step else { break };
        for (at, user) in users.iter().enumerate() {
            let Some(rate) = &rates[at] else { continue };
            let more = rate * &step;
            for (free, each) in free.iter_mut().zip(&user.demand) {
                *free -= each * &more;
            }
            tasks[at] += more;
        }
        key += step;
        explain(&format!("  key {key}: {}", list(&tasks)));
    }
    Ok(tasks.iter().map(answer).collect())
}

/// One whole task after the other.
pub(super) fn tasks(
    case: &Input<'_>,
    policy: Policy,
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    let capacity = cases::capacity(case)?;
    let entries = case.field("users")?.list(limits::ENTRIES)?;
    let mut leaves = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let user = cases::user(entry, capacity.len())?;
        leaves.push(Branch::leaf(entry, format!("user {at}"), user)?);
    }
    let filled = tree::fill(case, &capacity, leaves, policy, &[], explain)?;
    Ok(filled
        .into_iter()
        .map(|(_, tasks)| Value::from(tasks))
        .collect())
}

fn list(numbers: &[BigRational]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
