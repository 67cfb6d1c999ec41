//! Users that come one by one, and nothing is taken back.
//!
//! At the k-th of n arrivals each resource may be used up to k/n. The least shares are raised to a common
//! one, as high as that allows; who has more keeps it.
//
//= kash-2014 §4: dynamic DRF

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};
use serde_json::Value;

use super::{
    limits,
    number::{Input, Problem, answer},
};

pub(super) fn shares(case: &Input<'_>, explain: &mut dyn FnMut(&str)) -> Result<Value, Problem> {
    let demands = demands(case)?;
    let all = BigRational::from_integer(BigInt::from(demands.len()));
    let mut shares: Vec<BigRational> = Vec::new();
    let mut answers = Vec::new();
    for _ in &demands {
        shares.push(BigRational::zero());
        let usable = BigRational::from_integer(BigInt::from(shares.len())) / &all;
        let level = level(&shares, &demands, &usable);
        for share in &mut shares {
            if *share < level {
                share.clone_from(&level);
            }
        }
        explain(&format!("  arrival {}: raised to {level}", shares.len()));
        answers.push(shares.iter().map(answer).collect::<Value>());
    }
    Ok(Value::Array(answers))
}

/// What each user needs of each resource for a dominant share of 1: its largest entry is 1.
fn demands(case: &Input<'_>) -> Result<Vec<Vec<BigRational>>, Problem> {
    let field = case.field("demands_per_dominant_share")?;
    let users = field.list(limits::USERS)?;
    let resources = match users.first() {
        Some(first) => first.list(limits::RESOURCES)?.len(),
        None => 0,
    };
    let mut demands = Vec::new();
    for user in &users {
        let demand = user.vector(resources)?;
        if demand.iter().max() != Some(&BigRational::one()) {
            return Err(user.problem("the largest of a user's demands must be 1"));
        }
        demands.push(demand);
    }
    Ok(demands)
}

/// The highest level to which the shares can be raised with `usable` of each resource: use grows with the
/// level, piece by piece linearly, a piece for each share.
fn level(
    shares: &[BigRational],
    demands: &[Vec<BigRational>],
    usable: &BigRational,
) -> BigRational {
    let mut steps: Vec<&BigRational> = shares.iter().collect();
    steps.sort();
    let mut level = BigRational::zero();
    for (at, from) in steps.iter().enumerate() {
        let next = steps.get(at + 1);
        let mut top: Option<BigRational> = next.map(|next| (*next).clone());
        for j in 0..demands[0].len() {
            let users = shares.iter().zip(demands);
            let (mut held, mut rate) = (BigRational::zero(), BigRational::zero());
            for (share, demand) in users {
                match share <= from {
                    true => rate += &demand[j],
                    false => held += share * &demand[j],
                }
            }
            if !rate.is_zero() {
                let limit = (usable - held) / rate;
                top = Some(top.map_or(limit.clone(), |top| top.min(limit)));
            }
        }
        level = top.unwrap_or_else(BigRational::zero);
        if next.is_none_or(|next| level < **next) {
            break;
        }
    }
    level
}
