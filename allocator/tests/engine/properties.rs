//! What must hold after any events.

use proptest::prelude::*;
use tepui_allocator::order::Rule;

use crate::world::{Event, World, events};

fn run(rule: Rule, events: &[Event]) -> Vec<String> {
    let mut world = World::new(rule);
    let mut said = Vec::new();
    for event in events {
        said.extend(world.happen(event).iter().map(|made| format!("{made:?}")));
        world.check_sums();
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// By plain sums: it is always the turn of the least exact share, with the fewest allocations, declared
    /// first, among those who fit; and none means that nobody fits.
    #[test]
    fn the_seat_whose_turn_it_is_gets_a_task_where_it_fits(events in events()) {
        run(Rule::Sum, &events);
    }

    /// Under H-DRF: nobody who wants a task and fits is left when the engine says none.
    #[test]
    fn nothing_wanted_is_left_under_hdrf(events in events()) {
        run(Rule::Hierarchical, &events);
    }

    #[test]
    fn equal_events_give_equal_decisions(events in events(), hierarchical: bool) {
        let rule = if hierarchical { Rule::Hierarchical } else { Rule::Sum };
        prop_assert_eq!(run(rule, &events), run(rule, &events));
    }
}
