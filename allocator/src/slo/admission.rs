//! Which class a role gets, and why.

use super::{Class, Objective};
use crate::{order::Amounts, share::Weight};

/// Why a role got its class. Resources are named by their places in the amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is what was asked for.
    #[error("as asked")]
    AsAsked,
    /// Over its period, the burst is more than the role's fair share.
    #[error(
        "spread over its period the burst takes {average} of resource {resource}, the role's fair share is {share}"
    )]
    AboveFairShare {
        /// The resource.
        resource: usize,
        /// What the burst takes of it on average.
        average: u64,
        /// The fair share.
        share: u64,
    },
    /// The burst does not fit beside those that were promised before.
    #[error(
        "the burst takes {burst} of resource {resource}, {left} are left beside the hard bursts admitted before"
    )]
    NoRoom {
        /// The resource.
        resource: usize,
        /// What the burst takes of it.
        burst: u64,
        /// What the hard bursts leave.
        left: u64,
    },
}

/// A class and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The class.
    pub class: Class,
    /// Why this one.
    pub reason: Reason,
}

/// A role may not join: one that was admitted before would lose what it was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "role {role}, admitted before, is promised {average} of resource {resource} on average and would have a fair share of {share}"
)]
pub struct Refused {
    /// Whose promise it is, by the order of joining.
    pub role: usize,
    /// The resource.
    pub resource: usize,
    /// What it was promised of it on average.
    pub average: u64,
    /// What its fair share would be.
    pub share: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member<const L: usize> {
    weight: Weight,
    /// What was promised on average; nothing to elastic roles.
    average: Amounts<L>,
}

/// Who was promised what.
#[derive(Clone, Debug)]
pub struct Admission<const L: usize> {
    capacity: Amounts<L>,
    weights: u128,
    members: Vec<Member<L>>,
    /// All hard bursts together.
    hard: Amounts<L>,
}

impl<const L: usize> Admission<L> {
    /// Nobody is there yet.
    pub fn new(capacity: Amounts<L>) -> Self {
        Self {
            capacity,
            weights: 0,
            members: Vec::new(),
            hard: [0; L],
        }
    }

    /// A role joins, with an objective or without. Roles are numbered in the order of joining; who is refused gets no number.
    ///
    /// # Errors
    /// [`Refused`]: nothing was changed.
    pub fn join(
        &mut self,
        weight: Weight,
        objective: Option<&Objective<L>>,
    ) -> Result<Decision, Refused> {
        let weights = self.weights + u128::from(weight.milli());
        self.check_promises(weights)?;
        let decision = self.decide(weight, weights, objective);
        let mut average = [0; L];
        if let Some(objective) = objective.filter(|_| decision.class != Class::Elastic) {
            average = objective.average();
            if decision.class == Class::Hard {
                for (hard, more) in self.hard.iter_mut().zip(objective.burst()) {
                    *hard = hard.saturating_add(more);
                }
            }
        }
        self.weights = weights;
        self.members.push(Member { weight, average });
        Ok(decision)
    }

    /// The newcomer makes all shares smaller: whether those who were promised something still have it.
    fn check_promises(&self, weights: u128) -> Result<(), Refused> {
        for (role, member) in self.members.iter().enumerate() {
            if let Some((resource, share)) =
                self.above_share(&member.average, member.weight, weights)
            {
                return Err(Refused {
                    role,
                    resource,
                    average: member.average[resource],
                    share,
                });
            }
        }
        Ok(())
    }

    fn decide(&self, weight: Weight, weights: u128, objective: Option<&Objective<L>>) -> Decision {
        let as_asked = |class| Decision {
            class,
            reason: Reason::AsAsked,
        };
        let Some(objective) = objective.filter(|objective| objective.asked != Class::Elastic)
        else {
            return as_asked(Class::Elastic);
        };
        let average = objective.average();
        if let Some((resource, share)) = self.above_share(&average, weight, weights) {
            let average = average[resource];
            return Decision {
                class: Class::Elastic,
                reason: Reason::AboveFairShare {
                    resource,
                    average,
                    share,
                },
            };
        }
        if objective.asked == Class::Hard {
            let burst = objective.burst();
            let left = |j: usize| self.capacity[j].saturating_sub(self.hard[j]);
            if let Some(resource) = (0..L).find(|&j| burst[j] > left(j)) {
                return Decision {
                    class: Class::Soft,
                    reason: Reason::NoRoom {
                        resource,
                        burst: burst[resource],
                        left: left(resource),
                    },
                };
            }
        }
        as_asked(objective.asked)
    }

    /// The first resource of which `average` is more than the fair share, and that.
    fn above_share(
        &self,
        average: &Amounts<L>,
        weight: Weight,
        weights: u128,
    ) -> Option<(usize, u64)> {
        (0..L).find_map(|j| {
            let share = u128::from(self.capacity[j]) * u128::from(weight.milli()) / weights;
            let share = u64::try_from(share).unwrap_or(u64::MAX);
            (average[j] > share).then_some((j, share))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn burst(asked: Class, tasks: u32, minutes: u32) -> Objective<2> {
        Objective {
            asked,
            unit: [1, 2],
            tasks,
            length: minutes * MINUTE,
            period: 60 * MINUTE,
            within: Duration::ZERO,
            percent: 100,
        }
    }

    fn join(admission: &mut Admission<2>, objective: Option<&Objective<2>>) -> (Class, Reason) {
        let Decision { class, reason } = admission.join(Weight::ONE, objective).unwrap();
        (class, reason)
    }

    //= bopf-2019, admission
    #[test]
    fn bursts_are_hard_while_there_is_room_then_soft_and_elastic_above_the_fair_share() {
        let mut admission = Admission::new([100, 400]);
        for _ in 0..2 {
            assert_eq!(
                join(&mut admission, None),
                (Class::Elastic, Reason::AsAsked)
            );
        }
        // 60 at once, 15 on average; a third of 100 is 33.
        let first = burst(Class::Hard, 60, 15);
        assert_eq!(
            join(&mut admission, Some(&first)),
            (Class::Hard, Reason::AsAsked)
        );
        let no_room = Reason::NoRoom {
            resource: 0,
            burst: 41,
            left: 40,
        };
        let second = burst(Class::Hard, 41, 15);
        assert_eq!(join(&mut admission, Some(&second)), (Class::Soft, no_room));
        let third = burst(Class::Hard, 40, 15);
        assert_eq!(
            join(&mut admission, Some(&third)),
            (Class::Hard, Reason::AsAsked)
        );
        // 40 for half of the time is 20, and a sixth of 100 is 16.
        let above = Reason::AboveFairShare {
            resource: 0,
            average: 20,
            share: 16,
        };
        let fourth = burst(Class::Soft, 40, 30);
        assert_eq!(join(&mut admission, Some(&fourth)), (Class::Elastic, above));
    }

    #[test]
    fn nobody_joins_at_the_cost_of_a_promise() {
        let mut admission = Admission::new([100, 400]);
        let half = burst(Class::Hard, 100, 30);
        assert_eq!(join(&mut admission, Some(&half)).0, Class::Hard);
        assert_eq!(join(&mut admission, None).0, Class::Elastic);
        let refused = Refused {
            role: 0,
            resource: 0,
            average: 50,
            share: 33,
        };
        assert_eq!(admission.join(Weight::ONE, None), Err(refused));
        let light = Weight::from_milli(1).unwrap();
        assert!(admission.join(light, None).is_err(), "not even a light one");
    }

    #[test]
    fn weights_make_fair_shares() {
        let mut admission = Admission::new([100, 400]);
        join(&mut admission, None);
        let heavy = Weight::from_milli(3000).unwrap();
        let decision = admission.join(heavy, Some(&burst(Class::Hard, 75, 60)));
        assert_eq!(decision.unwrap().class, Class::Hard);
    }
}
