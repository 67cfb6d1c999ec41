//! Few tasks that make up what is missing: exactly for a small pool, by the most useful first for a large one.

use super::{Rank, Taking, rank};

/// Up to so many units the answer is exact.
const EXACT: usize = 16;

/// Of `units`, all of ranks up to `last`, as few tasks of `last` as are enough, and then as few in all. None: all of
/// them are not enough, as far as the guarantees allow.
pub(super) fn fewest<'a, const L: usize>(
    nothing: &Taking<'a, L>,
    units: &[usize],
    last: Rank,
) -> Option<Taking<'a, L>> {
    let greedy = greedy(nothing, units, last);
    if units.len() > EXACT {
        return greedy;
    }
    let best = greedy.map(|taking| (cost(&taking, last), taking));
    let mut search = Search { units, last, best };
    search.from(0, nothing.clone());
    search.best.map(|(_, taking)| taking)
}

/// The tasks of the most important rank, and of all.
fn cost<const L: usize>(taking: &Taking<'_, L>, last: Rank) -> (u64, u64) {
    let units = taking.taken.iter().map(|&at| &taking.pool.units[at]);
    units.fold((0, 0), |(of_last, all), unit| {
        let tasks = u64::from(unit.tasks);
        let is_last = u64::from(rank(unit) == last);
        (of_last + is_last * tasks, all + tasks)
    })
}

/// All of the lesser ranks; then of the last one the unit that brings most of what is missing for each task, again
/// and again.
fn greedy<'a, const L: usize>(
    nothing: &Taking<'a, L>,
    units: &[usize],
    last: Rank,
) -> Option<Taking<'a, L>> {
    let mut taking = nothing.clone();
    let is_last = |at: &usize| rank(&taking.pool.units[*at]) == last;
    let (mut left, lesser): (Vec<usize>, Vec<usize>) = units.iter().partition(|at| is_last(at));
    take_most_useful(&mut taking, lesser);
    take_most_useful(&mut taking, std::mem::take(&mut left));
    taking.is_enough().then_some(taking)
}

/// Takes units until it is enough, or none of them brings anything.
fn take_most_useful<const L: usize>(taking: &mut Taking<'_, L>, mut left: Vec<usize>) {
    while !taking.is_enough() {
        let mut best: Option<(f64, usize)> = None;
        for (place, &at) in left.iter().enumerate() {
            let worth = worth(taking, at);
            if worth > 0.0 && best.is_none_or(|(most, _)| worth > most) {
                best = Some((worth, place));
            }
        }
        let Some((_, place)) = best else { return };
        // One that may not go is not looked at again.
        taking.take(left.remove(place));
    }
}

/// The part of what is missing that a unit brings, for each of its tasks.
fn worth<const L: usize>(taking: &Taking<'_, L>, at: usize) -> f64 {
    let unit = &taking.pool.units[at];
    let part = |j: usize| match taking.short(j) {
        0 => 0.0,
        short => unit.amounts[j].min(short) as f64 / short as f64,
    };
    (0..L).map(part).sum::<f64>() / f64::from(unit.tasks.max(1))
}

/// All choices that can still be better, in order: of equally good ones the first is kept, with the youngest units.
struct Search<'u, 'a, const L: usize> {
    units: &'u [usize],
    last: Rank,
    best: Option<((u64, u64), Taking<'a, L>)>,
}

impl<'a, const L: usize> Search<'_, 'a, L> {
    fn from(&mut self, at: usize, taking: Taking<'a, L>) {
        let cost = cost(&taking, self.last);
        if self.best.as_ref().is_some_and(|(best, _)| cost >= *best) {
            return;
        }
        if taking.is_enough() {
            self.best = Some((cost, taking));
            return;
        }
        let rest = &self.units[at..];
        let brings = |j: usize| {
            let amounts = rest.iter().map(|&at| taking.pool.units[at].amounts[j]);
            amounts.fold(0, u64::saturating_add)
        };
        if (0..L).any(|j| brings(j) < taking.short(j)) {
            return;
        }
        let mut with = taking.clone();
        if with.take(self.units[at]) {
            self.from(at + 1, with);
        }
        self.from(at + 1, taking);
    }
}
