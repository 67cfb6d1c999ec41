//! The rules by example, and by brute force on small pools.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn role(guarantee: u64, held: u64) -> Holder<1> {
    Holder {
        above: None,
        guarantee: [guarantee],
        held: [held],
    }
}

fn unit(role: usize, amount: u64, priority: i32, began: u32) -> Unit<1> {
    Unit {
        role,
        amounts: [amount],
        elsewhere: [0],
        tasks: 1,
        priority,
        began: began * SECOND,
        revocable: false,
    }
}

fn plan(holders: &[Holder<1>], units: &[Unit<1>], claim: u64) -> Result<Vec<usize>, Unclaimable> {
    let free = [0];
    Pool {
        free,
        holders,
        units,
    }
    .plan(0, &[claim])
}

#[test]
fn the_youngest_of_the_least_important_go_and_no_more_than_needed() {
    let holders = [role(4, 0), role(2, 10)];
    let units = [
        unit(1, 2, 0, 1),
        unit(1, 2, 0, 3),
        unit(1, 2, 5, 4),
        unit(1, 2, 0, 2),
        unit(1, 2, 9, 5),
    ];
    assert_eq!(plan(&holders, &units, 4), Ok(vec![1, 3]));
    assert_eq!(plan(&holders, &units, 1), Ok(vec![1]));
}

#[test]
fn revocable_units_go_first_whatever_their_priority_and_have_no_guarantee() {
    let holders = [role(4, 0), role(10, 2)];
    let revocable = Unit {
        revocable: true,
        ..unit(1, 3, 100, 1)
    };
    let units = [unit(1, 2, 0, 2), revocable];
    assert_eq!(plan(&holders, &units, 3), Ok(vec![1]));
    let missing = Unclaimable::NotEnough {
        resource: 0,
        missing: 1,
    };
    assert_eq!(
        plan(&holders, &units, 4),
        Err(missing),
        "the other is within its guarantee"
    );
}

#[test]
fn a_gang_goes_as_a_whole_and_fewer_tasks_are_better() {
    let holders = [role(8, 0), role(0, 16)];
    let gang = Unit {
        tasks: 4,
        ..unit(1, 8, 0, 9)
    };
    let units = [gang, unit(1, 4, 0, 1), unit(1, 4, 0, 2)];
    assert_eq!(
        plan(&holders, &units, 8),
        Ok(vec![2, 1]),
        "two tasks are fewer than four"
    );
    assert_eq!(plan(&holders[..], &units[..1], 1), Ok(vec![0]));
}

#[test]
fn guarantees_above_a_role_count_too_and_the_claimants_own_are_safe() {
    // team (guaranteed 6) holds 8 in its roles b and c; a claims.
    let below = |guarantee, held| Holder {
        above: Some(1),
        ..role(guarantee, held)
    };
    let holders = [role(4, 1), role(6, 8), below(0, 4), below(0, 4)];
    let units = [
        unit(2, 2, 0, 1),
        unit(2, 2, 0, 2),
        unit(3, 2, 0, 3),
        unit(0, 1, -9, 4),
    ];
    assert_eq!(plan(&holders, &units, 2), Ok(vec![2]));
    let missing = Unclaimable::NotEnough {
        resource: 0,
        missing: 1,
    };
    assert_eq!(plan(&holders, &units, 3), Err(missing));
}

#[test]
fn a_claim_beyond_the_guarantee_says_so() {
    let holders = [role(4, 3), role(0, 10)];
    let beyond = Unclaimable::BeyondGuarantee {
        resource: 0,
        held: 3,
        claimed: 2,
        guaranteed: 4,
    };
    assert_eq!(plan(&holders, &[unit(1, 10, 0, 0)], 2), Err(beyond.clone()));
    assert_eq!(
        beyond.to_string(),
        "the claim is beyond the role's guarantee: it holds 3 of resource 0, claims 2 and is guaranteed 4"
    );
}

#[test]
fn what_is_free_is_not_taken_from_anybody() {
    let holders = [role(4, 0), role(0, 10)];
    let units = [unit(1, 5, 0, 0), unit(1, 5, 0, 1)];
    let pool = Pool {
        free: [4],
        holders: &holders,
        units: &units,
    };
    assert_eq!(pool.plan(0, &[4]), Ok(vec![]));
}

#[derive(Clone, Debug)]
struct Case {
    holders: Vec<Holder<2>>,
    units: Vec<Unit<2>>,
    claim: Amounts<2>,
    free: Amounts<2>,
}

impl Case {
    fn pool(&self) -> Pool<'_, 2> {
        Pool {
            free: self.free,
            holders: &self.holders,
            units: &self.units,
        }
    }

    /// Whether a choice keeps the rules and is enough, by the definition.
    fn is_allowed(&self, chosen: u32) -> bool {
        let goes = |at: usize| chosen & 1 << at != 0;
        let is_in = |role: usize, of: usize| self.pool().is_below(role, of);
        let units = || self.units.iter().enumerate().filter(|(at, _)| goes(*at));
        let enough = (0..2).all(|j| {
            let freed: u64 = units().map(|(_, unit)| unit.amounts[j]).sum();
            self.free[j] + freed >= self.claim[j]
        });
        let guarantees = self.holders.iter().enumerate().all(|(role, holder)| {
            (0..2).all(|j| {
                let lost = units().filter(|(_, unit)| !unit.revocable && is_in(unit.role, role));
                let lost: u64 = lost.map(|(_, unit)| unit.amounts[j]).sum();
                lost == 0 || holder.held[j] - lost >= holder.guarantee[j].min(holder.held[j])
            })
        });
        enough && guarantees && units().all(|(_, unit)| !is_in(unit.role, 0))
    }

    /// The most important rank that a choice touches, and how many tasks of it.
    fn cost(&self, chosen: u32) -> Option<(Rank, u64)> {
        let units = self.units.iter().enumerate();
        let units: Vec<_> = units.filter(|(at, _)| chosen & 1 << at != 0).collect();
        let last = units.iter().map(|(_, unit)| rank(unit)).max()?;
        let of_last = units.iter().filter(|(_, unit)| rank(unit) == last);
        Some((last, of_last.map(|(_, unit)| u64::from(unit.tasks)).sum()))
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let unit = (
        1..5_usize,
        prop::array::uniform2(0..5_u64),
        1..4_u32,
        0..3_i32,
        0..9_u32,
        prop::bool::weighted(0.2),
    );
    let unit = unit.prop_map(|(role, amounts, tasks, priority, began, revocable)| Unit {
        role,
        amounts,
        elsewhere: [0; 2],
        tasks,
        priority,
        began: began * SECOND,
        revocable,
    });
    (
        prop::collection::vec(unit, 0..10),
        prop::array::uniform5(prop::array::uniform2(0..8_u64)),
        prop::array::uniform2(0..8_u64),
        prop::array::uniform2(0..3_u64),
    )
        .prop_map(|(units, guarantees, claim, free)| {
            let above = [None, None, None, Some(2), Some(2)];
            let mut holders: Vec<Holder<2>> = above
                .into_iter()
                .zip(guarantees)
                .map(|(above, guarantee)| Holder {
                    above,
                    guarantee,
                    held: [0; 2],
                })
                .collect();
            for unit in units.iter().filter(|unit| !unit.revocable) {
                for role in std::iter::successors(Some(unit.role), |&role| above[role]) {
                    for (held, more) in holders[role].held.iter_mut().zip(unit.amounts) {
                        *held += more;
                    }
                }
            }
            // The claimant holds nothing, and claims within its guarantee.
            holders[0].guarantee = claim;
            Case {
                holders,
                units,
                claim,
                free,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn small_pools_give_up_as_little_as_any_choice(case in cases()) {
        let choices = 0..1_u32 << case.units.len();
        let best = choices.filter(|&chosen| case.is_allowed(chosen)).map(|chosen| case.cost(chosen)).min();
        match case.pool().plan(0, &case.claim) {
            Ok(plan) => {
                let chosen = plan.iter().fold(0, |chosen, at| chosen | 1 << at);
                prop_assert!(case.is_allowed(chosen), "{plan:?}");
                prop_assert_eq!(Some(case.cost(chosen)), best, "{:?}", plan);
            }
            Err(Unclaimable::NotEnough { .. }) => prop_assert_eq!(best, None),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// Many units: the rules hold, and nothing of the plan could stay.
    #[test]
    fn large_pools_keep_the_rules(copies in 3..6_usize, case in cases()) {
        let mut case = case;
        let units = case.units.clone();
        case.units = (0..copies).flat_map(|_| units.clone()).collect();
        case.units.truncate(30);
        for holder in &mut case.holders {
            holder.held = [0; 2];
        }
        for unit in case.units.iter().filter(|unit| !unit.revocable) {
            let mut role = Some(unit.role);
            while let Some(at) = role {
                for (held, more) in case.holders[at].held.iter_mut().zip(unit.amounts) {
                    *held += more;
                }
                role = case.holders[at].above;
            }
        }
        if let Ok(plan) = case.pool().plan(0, &case.claim) {
            let chosen = plan.iter().fold(0_u32, |chosen, at| chosen | 1 << at);
            prop_assert!(case.is_allowed(chosen), "{plan:?}");
            for at in plan {
                prop_assert!(!case.is_allowed(chosen & !(1 << at)), "{at} could stay");
            }
        }
    }
}
