//! On one agent the engine must pick as progressive filling does, which settles who is blocked and what is
//! saturated anew for all after each task.

use proptest::prelude::*;
use tepui_allocator::{
    Weight,
    engine::Engine,
    filling::Filling,
    order::{NodeId, Rule},
};

const L: usize = 2;
const CAPACITY: [u64; L] = [40, 60];

#[derive(Clone, Debug)]
struct Leaf {
    role: usize,
    weight: u64,
    demand: [u64; L],
    wants: u64,
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let demand = prop_oneof![
        [1..9_u64, 0..1_u64],
        [0..1_u64, 1..9_u64],
        [1..6_u64, 1..9_u64]
    ];
    (0..4_usize, 1..4_u64, demand, 1..30_u64).prop_map(|(role, weight, demand, wants)| Leaf {
        role,
        weight,
        demand,
        wants,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_engine_fills_one_agent_as_the_rule_says(
        leaves in prop::collection::vec(leaf(), 1..10),
        weights in prop::array::uniform3(1..4_u64),
        ends in prop::collection::vec(any::<usize>(), 0..40),
        hierarchical: bool,
    ) {
        let rule = if hierarchical { Rule::Hierarchical } else { Rule::Sum };
        let weight = |w: u64| Weight::from_milli(w * 1000).unwrap();
        let mut engine = Engine::<L>::new(rule);
        let mut filling = Filling::<L>::new(CAPACITY, rule);
        // Roles: the root, two below it, and one below the first of them.
        let (mut ours, mut theirs) = (vec![NodeId::ROOT], vec![NodeId::ROOT]);
        for (n, w) in weights.into_iter().enumerate() {
            let above = if n == 2 { 1 } else { 0 };
            ours.push(engine.add_role(ours[above], weight(w)));
            theirs.push(filling.add_inner(theirs[above], weight(w)));
        }
        engine.add_agent(CAPACITY).unwrap();
        let (mut seats, mut nodes) = (Vec::new(), Vec::new());
        for leaf in &leaves {
            let seat = engine.add_framework(ours[leaf.role], weight(leaf.weight), leaf.demand).unwrap();
            engine.want(seat, leaf.wants);
            seats.push(seat);
            let (role, own) = (theirs[leaf.role], weight(leaf.weight));
            nodes.push(filling.add_leaf(role, own, leaf.demand, Some(leaf.wants)).unwrap());
        }
        let mut running = Vec::new();
        let mut ends = ends.into_iter();
        loop {
            loop {
                let (ours, theirs) = (engine.decide(), filling.step());
                let ours = ours.map(|made| {
                    let seat = seats.iter().position(|seat| *seat == made.seat).unwrap();
                    running.push((made.task, seat));
                    seat
                });
                let theirs = theirs.map(|id| nodes.iter().position(|node| *node == id).unwrap());
                prop_assert_eq!(ours, theirs, "after {} tasks", running.len());
                if ours.is_none() {
                    break;
                }
            }
            let Some(end) = ends.next().filter(|_| !running.is_empty()) else {
                break;
            };
            // Filling wants again what has ended.
            let (task, seat) = running.swap_remove(end % running.len());
            prop_assert!(engine.end(task));
            engine.want(seats[seat], 1);
            prop_assert!(filling.end(nodes[seat]));
        }
    }
}
