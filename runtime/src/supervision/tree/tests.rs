//! The decisions of a supervisor, by example and by chance.

use std::collections::BTreeMap;

use proptest::{
    prelude::{Just, any, prop, prop_assert, prop_oneof, proptest},
    strategy::Strategy as Chosen,
};

use super::*;

const SECOND: u64 = 1_000_000;

fn policy(strategy: Strategy, max: usize) -> Policy {
    let within = Duration::from_secs(10);
    Policy {
        strategy,
        limit: Limit { max, within },
        back_off: BackOff::NONE,
    }
}

/// A tree of so many permanent children that are up.
fn up(strategy: Strategy, count: u64) -> Tree {
    let mut tree = Tree::new(policy(strategy, 2));
    let mut out = Vec::new();
    for _ in 0..count {
        tree.add(ChildKind::Permanent, Duration::ZERO, false, &mut out);
    }
    for id in 0..count {
        tree.started(id, &mut out);
    }
    let starts: Vec<_> = (0..count).map(Effect::Start).collect();
    assert_eq!(out, starts, "one after the other");
    tree
}

fn crash() -> ExitReason {
    ExitReason::Crashed("x".into())
}

fn ended(tree: &mut Tree, id: ChildId, at: u64) -> Vec<Effect> {
    let mut out = Vec::new();
    tree.ended(id, &crash(), false, at, &mut out);
    out
}

fn stop(id: ChildId) -> Effect {
    Effect::Stop(id, Duration::ZERO)
}

#[test]
fn a_child_starts_when_the_one_before_is_up() {
    let mut tree = Tree::new(policy(Strategy::OneForOne, 1));
    let mut out = Vec::new();
    for _ in 0..2 {
        tree.add(ChildKind::Permanent, Duration::ZERO, false, &mut out);
    }
    assert_eq!(out, [Effect::Start(0)]);
    tree.started(0, &mut out);
    assert_eq!(out[1..], [Effect::Start(1)]);
}

#[test]
fn one_for_one_makes_one_anew() {
    let mut tree = up(Strategy::OneForOne, 3);
    assert_eq!(ended(&mut tree, 1, 0), [Effect::Start(1)]);
}

#[test]
fn rest_for_one_takes_those_behind_down_in_reverse_and_starts_them_in_order() {
    let mut tree = up(Strategy::RestForOne, 4);
    assert_eq!(ended(&mut tree, 1, 0), [stop(3)]);
    assert_eq!(ended(&mut tree, 3, 0), [stop(2)]);
    assert_eq!(ended(&mut tree, 2, 0), [Effect::Start(1)]);
    let mut out = Vec::new();
    for id in 1..4 {
        tree.started(id, &mut out);
    }
    assert_eq!(out, [Effect::Start(2), Effect::Start(3)]);
}

#[test]
fn one_for_all_waits_for_a_back_off_and_a_second_failure_meanwhile_begins_again() {
    let mut tree = up(Strategy::OneForAll, 2);
    let (min, max) = (Duration::from_secs(1), Duration::from_secs(8));
    tree.policy.back_off = BackOff { min, max };
    assert_eq!(ended(&mut tree, 0, 0), [stop(1)]);
    let paused = ended(&mut tree, 1, 0);
    assert_eq!(paused, [Effect::Pause(Pause::Group(1), min)]);
    let mut out = Vec::new();
    tree.resume(Pause::Group(7), &mut out);
    assert_eq!(out, []);
    tree.resume(Pause::Group(1), &mut out);
    assert_eq!(out, [Effect::Start(0)]);
    let again = ended(&mut tree, 0, SECOND);
    assert_eq!(
        again,
        [Effect::Pause(Pause::Group(2), 2 * min)],
        "twice as long"
    );
}

#[test]
fn beyond_the_intensity_all_go_down_and_the_supervisor_fails() {
    let mut tree = up(Strategy::OneForOne, 2);
    for at in 0..2 {
        assert_eq!(ended(&mut tree, 0, at), [Effect::Start(0)]);
        tree.started(0, &mut Vec::new());
    }
    assert_eq!(ended(&mut tree, 0, 2), [stop(1)]);
    let mut out = Vec::new();
    tree.ended(1, &ExitReason::Stopped, false, 3, &mut out);
    let Some(Effect::Finish(Some(why))) = out.last() else {
        panic!("{out:?}");
    };
    assert!(why.contains("more than 2 restarts"), "{why}");
}

#[test]
fn the_kinds_tell_which_end_is_final() {
    use ChildKind::{Permanent, Temporary, Transient};
    let table = [
        (Permanent, ExitReason::Stopped, false, true),
        (Permanent, ExitReason::Stopped, true, false),
        (Transient, ExitReason::Stopped, false, false),
        (Transient, ExitReason::Killed, false, true),
        (Transient, ExitReason::Failed("x".into()), false, true),
        (Temporary, crash(), false, false),
    ];
    for (kind, reason, for_good, again) in table {
        let mut tree = Tree::new(policy(Strategy::OneForOne, 9));
        let mut out = Vec::new();
        let id = tree.add(kind, Duration::ZERO, false, &mut out).unwrap();
        tree.started(id, &mut out);
        out.clear();
        tree.ended(id, &reason, for_good, 0, &mut out);
        let expected = match again {
            true => Effect::Start(id),
            false => Effect::Bury(id),
        };
        assert_eq!(out, [expected], "{kind:?} {reason}");
    }
}

#[test]
fn a_child_that_does_not_stop_is_killed_and_one_that_never_came_up_is_refused() {
    let mut tree = up(Strategy::OneForOne, 1);
    let mut out = Vec::new();
    tree.too_slow(0, &mut out);
    tree.stop_child(0, &mut out);
    tree.too_slow(0, &mut out);
    assert_eq!(out, [stop(0), Effect::Kill(0)]);
    out.clear();
    tree.ended(0, &ExitReason::Killed, false, 0, &mut out);
    let id = tree
        .add(ChildKind::Permanent, Duration::ZERO, true, &mut out)
        .unwrap();
    tree.ended(id, &crash(), false, 0, &mut out);
    let refused = Effect::Refuse(id, crash());
    assert_eq!(out, [Effect::Bury(0), Effect::Start(id), refused]);
}

/// What happens to a child, from outside.
#[derive(Clone, Debug)]
enum Chance {
    Crash(usize),
    Answer(usize),
    StopChild(usize),
    Add,
    Pass,
}

fn chance() -> impl Chosen<Value = Chance> {
    prop_oneof![
        2 => any::<usize>().prop_map(Chance::Crash),
        6 => any::<usize>().prop_map(Chance::Answer),
        1 => any::<usize>().prop_map(Chance::StopChild),
        1 => Just(Chance::Add),
        2 => Just(Chance::Pass),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum World {
    Starting,
    Up,
    Stopping,
}

/// The world below a tree: carries out effects, and checks that each is possible.
#[derive(Default)]
struct Below {
    children: BTreeMap<ChildId, World>,
    pauses: Vec<Pause>,
    finished: bool,
}

impl Below {
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(!self.finished, "after the finish: {effect:?}");
            match effect {
                Effect::Start(id) => assert_eq!(self.children.insert(id, World::Starting), None),
                Effect::Stop(id, _) => {
                    let before = self.children.insert(id, World::Stopping);
                    assert_eq!(before, Some(World::Up));
                }
                Effect::Bury(id) => assert!(!self.children.contains_key(&id)),
                Effect::Refuse(id, _) => assert!(!self.children.contains_key(&id)),
                Effect::Kill(_) => unreachable!("nobody is slow"),
                Effect::Pause(pause, _) => self.pauses.push(pause),
                Effect::Finish(_) => {
                    assert_eq!(self.children.len(), 0, "children outlive their supervisor");
                    self.finished = true;
                }
            }
        }
    }
}

proptest! {
    /// Whatever happens, every effect is possible when it is told, and the supervisor can always
    /// be stopped.
    #[test]
    fn a_tree_never_asks_for_the_impossible(
        strategy in prop_oneof![
            Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)
        ],
        pause in 0_u64..3,
        kinds in prop::collection::vec(0..3, 1..6),
        chances in prop::collection::vec(chance(), 0..200),
    ) {
        let mut policy = policy(strategy, 20);
        let (min, max) = (Duration::from_secs(pause), Duration::from_secs(4));
        policy.back_off = BackOff { min, max };
        let (mut tree, mut below, mut now) = (Tree::new(policy), Below::default(), 0);
        let kinds = kinds.into_iter().map(|kind| match kind {
            0 => ChildKind::Permanent,
            1 => ChildKind::Transient,
            _ => ChildKind::Temporary,
        });
        for kind in kinds {
            let mut out = Vec::new();
            tree.add(kind, Duration::ZERO, false, &mut out);
            below.take(out);
        }
        let mut step = |tree: &mut Tree, below: &mut Below, chance: Chance| {
            let mut out = Vec::new();
            let nth = |below: &Below, n: usize| {
                let count = below.children.len();
                (count > 0).then(|| *below.children.iter().nth(n % count).unwrap().0)
            };
            match chance {
                Chance::Crash(n) => if let Some(id) = nth(below, n) {
                    below.children.remove(&id);
                    tree.ended(id, &crash(), false, now, &mut out);
                },
                Chance::Answer(n) => if let Some(id) = nth(below, n) {
                    match below.children[&id] {
                        World::Starting => {
                            below.children.insert(id, World::Up);
                            tree.started(id, &mut out);
                        }
                        World::Stopping => {
                            below.children.remove(&id);
                            tree.ended(id, &ExitReason::Stopped, false, now, &mut out);
                        }
                        World::Up => {}
                    }
                },
                Chance::StopChild(n) => if let Some(id) = nth(below, n) {
                    tree.stop_child(id, &mut out);
                },
                Chance::Add => {
                    tree.add(ChildKind::Transient, Duration::ZERO, false, &mut out);
                }
                Chance::Pass => {
                    now += 3 * SECOND;
                    for pause in std::mem::take(&mut below.pauses) {
                        let mut out = Vec::new();
                        tree.resume(pause, &mut out);
                        below.take(out);
                    }
                }
            }
            below.take(out);
        };
        for chance in chances {
            step(&mut tree, &mut below, chance);
        }
        let mut out = Vec::new();
        tree.stop_all(&mut out);
        below.take(out);
        for n in 0..100 {
            if !below.finished {
                step(&mut tree, &mut below, Chance::Answer(n));
            }
        }
        prop_assert!(below.finished, "stuck: {tree:?} {:?}", below.children);
    }
}
