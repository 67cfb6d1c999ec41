//! Where tasks go: the built-in placements.
//!
//! All of them look only at nodes on which a task fits, found with the index. Scores are sums of fractions of the largest node; equal
//! scores go to the earlier node. A gang fills the best node, then the next best; `spread` deals one task a node at a time.

use std::{cmp::Ordering, fmt};

use super::{Ask, Cluster, NodeId, Piece};
use crate::{
    amounts::{Amounts, GPUS, LANES},
    random::Random,
};

/// How nodes are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// The first that fits.
    #[default]
    FirstFit,
    /// The one with the least left afterwards.
    BestFit,
    /// The one with the most left afterwards.
    Spread,
    /// The one whose free amounts point the same way as the demand, by their dot product.
    //= tetris-2014 §3.1
    DotProduct,
    /// The one whose free amounts have the shape nearest to the demand's.
    //= drfh-2014, best-fit heuristic
    Shape,
    /// The one whose GPUs become least fragmented for the jobs that are to be expected.
    //= fgd-2023, fragmentation gradient descent
    Fgd,
    /// Any one that fits, drawn by the seed.
    Random,
}

impl Placement {
    /// All placements, their names and what they do.
    pub const ALL: [(&'static str, Placement, &'static str); 7] = [
        ("first-fit", Placement::FirstFit, "the first node that fits"),
        (
            "best-fit",
            Placement::BestFit,
            "the node with the least left afterwards",
        ),
        (
            "spread",
            Placement::Spread,
            "the node with the most left afterwards; a gang one task a node",
        ),
        (
            "dot-product",
            Placement::DotProduct,
            "the largest dot product of demand and free amounts (Tetris)",
        ),
        (
            "shape",
            Placement::Shape,
            "the free amounts nearest in shape to the demand (best-fit DRFH)",
        ),
        (
            "fgd",
            Placement::Fgd,
            "the least growth of GPU fragmentation (FGD)",
        ),
        (
            "random",
            Placement::Random,
            "any node that fits, by the seed",
        ),
    ];
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, placement, _)| placement == self);
        f.pad(known.map_or("", |(name, ..)| name))
    }
}

/// A node that fits: the less the score, the better.
struct Choice {
    score: f64,
    /// Decides between equal scores, before the order of nodes does.
    tie: f64,
    node: usize,
    /// The device, as a bit, for a part of a GPU; 0 if the cluster may choose.
    gpus: u32,
}

/// How finely growths of fragmentation are told apart, so that rounding errors do not decide.
const FINE: f64 = (1 << 20) as f64;

impl Choice {
    fn by_score(&self, other: &Self) -> Ordering {
        let by_tie = || self.tie.total_cmp(&other.tie);
        self.score.total_cmp(&other.score).then_with(by_tie)
    }

    fn is_better_than(&self, other: &Self) -> bool {
        self.by_score(other) == Ordering::Less
    }
}

impl Cluster {
    /// Finds room for all tasks, into `pieces`; without room for all of them, false.
    pub(crate) fn place(
        &mut self,
        placement: Placement,
        ask: &Ask,
        random: &mut Random,
        pieces: &mut Vec<Piece>,
    ) -> bool {
        pieces.clear();
        if !self.may_fit(ask) {
            return false;
        }
        match placement {
            Placement::FirstFit => self.first_fit(ask, pieces),
            _ if ask.tasks == 1 => {
                let best = self
                    .choices(placement, ask, random)
                    .into_iter()
                    .reduce(|best, next| {
                        if next.is_better_than(&best) {
                            next
                        } else {
                            best
                        }
                    });
                pieces.extend(best.map(|choice| piece(choice.node, 1, choice.gpus)));
                !pieces.is_empty()
            }
            _ => {
                let mut choices = self.choices(placement, ask, random);
                choices.sort_by(|a, b| a.by_score(b).then(a.node.cmp(&b.node)));
                self.deal(placement, ask, &choices, pieces)
            }
        }
    }

    /// Whether as much is free in all as the tasks need in all: false means no.
    pub(crate) fn may_fit(&self, ask: &Ask) -> bool {
        let tasks = u64::from(ask.tasks);
        (0..LANES).all(|lane| tasks * u64::from(ask.demand.lane(lane)) <= self.free_sum[lane])
    }

    fn first_fit(&mut self, ask: &Ask, pieces: &mut Vec<Piece>) -> bool {
        let (mut wanted, mut from) = (ask.tasks, 0);
        while wanted > 0 {
            let Some(node) = self.next_fit(from, ask) else {
                return false;
            };
            let tasks = if wanted == 1 {
                1
            } else {
                self.count_on(id(node), ask).min(wanted)
            };
            pieces.push(piece(node, tasks, 0));
            (wanted, from) = (wanted - tasks, node + 1);
        }
        true
    }

    /// The first node from `from` on where a task fits.
    pub(crate) fn next_fit(&mut self, from: usize, ask: &Ask) -> Option<usize> {
        let gpus = ask.demand.lane(GPUS);
        if gpus == 0 {
            return self.index.next(&self.free, from, ask.demand, |_| true);
        }
        let (models, devices) = (&self.models, &self.devices);
        self.index.next(&self.free, from, ask.demand, |node| {
            (ask.models == 0 || models[node] & ask.models != 0) && devices.fits(node, gpus)
        })
    }

    fn choices(&mut self, placement: Placement, ask: &Ask, random: &mut Random) -> Vec<Choice> {
        let scale = self.scale;
        let mut choices = Vec::new();
        let mut from = 0;
        while let Some(node) = self.next_fit(from, ask) {
            from = node + 1;
            let free = self.free[node];
            let (mut tie, mut gpus) = (0.0, 0);
            let score = match placement {
                Placement::FirstFit => 0.0,
                Placement::BestFit => left(free, ask.demand, &scale),
                Placement::Spread => -left(free, ask.demand, &scale),
                Placement::DotProduct => -dot(free, ask.demand, &scale),
                Placement::Shape => shape(free, ask.demand, &scale),
                Placement::Fgd => {
                    // Most tasks leave many nodes as they are, which says nothing: then the fullest is best.
                    tie = left(free, ask.demand, &scale);
                    let (growth, device) = self.fragmentation_growth(node, ask);
                    gpus = device;
                    (growth * FINE).round()
                }
                Placement::Random => random.unit(),
            };
            choices.push(Choice {
                score,
                tie,
                node,
                gpus,
            });
        }
        choices
    }

    fn deal(
        &self,
        placement: Placement,
        ask: &Ask,
        choices: &[Choice],
        pieces: &mut Vec<Piece>,
    ) -> bool {
        let room: Vec<u32> = choices
            .iter()
            .map(|choice| self.count_on(id(choice.node), ask))
            .collect();
        let mut wanted = ask.tasks;
        if placement == Placement::Spread {
            let all: u64 = room.iter().map(|&room| u64::from(room)).sum();
            if all < u64::from(wanted) {
                return false;
            }
            let mut dealt = vec![0; room.len()];
            while wanted > 0 {
                for (dealt, &room) in dealt.iter_mut().zip(&room) {
                    if wanted > 0 && *dealt < room {
                        (*dealt, wanted) = (*dealt + 1, wanted - 1);
                    }
                }
            }
            let used = choices.iter().zip(dealt).filter(|(_, tasks)| *tasks > 0);
            pieces.extend(used.map(|(choice, tasks)| piece(choice.node, tasks, 0)));
            return true;
        }
        for (choice, &room) in choices.iter().zip(&room) {
            let tasks = room.min(wanted);
            pieces.push(piece(choice.node, tasks, 0));
            wanted -= tasks;
            if wanted == 0 {
                return true;
            }
        }
        false
    }
}

fn id(node: usize) -> NodeId {
    NodeId(node as u32)
}

fn piece(node: usize, tasks: u32, gpus: u32) -> Piece {
    Piece {
        node: id(node),
        tasks,
        gpus,
    }
}

fn left(free: Amounts, demand: Amounts, scale: &[f64; LANES]) -> f64 {
    let lanes = free.minus(demand).lanes();
    (0..LANES)
        .map(|lane| f64::from(lanes[lane]) * scale[lane])
        .sum()
}

fn dot(free: Amounts, demand: Amounts, scale: &[f64; LANES]) -> f64 {
    let product = |lane: usize| {
        f64::from(free.lane(lane)) * f64::from(demand.lane(lane)) * scale[lane] * scale[lane]
    };
    (0..LANES).map(product).sum()
}

/// The distance of both vectors, each divided by its lane that the demand has most of.
fn shape(free: Amounts, demand: Amounts, scale: &[f64; LANES]) -> f64 {
    let part = |amounts: Amounts, lane: usize| f64::from(amounts.lane(lane)) * scale[lane];
    let by_size =
        |a: &usize, b: &usize| part(demand, *a).total_cmp(&part(demand, *b)).then(b.cmp(a));
    let most = (0..LANES).max_by(by_size).unwrap_or(0);
    let (free_most, demand_most) = (part(free, most), part(demand, most));
    (0..LANES)
        .map(|lane| (part(free, lane) / free_most - part(demand, lane) / demand_most).abs())
        .sum()
}
