//! Roles come and go, and frameworks join only those that are there.

use tepui_allocator::{
    Weight,
    engine::{Engine, Refused},
    order::{NodeId, Rule},
};

#[test]
fn a_framework_cannot_join_a_role_that_was_removed() {
    for rule in [Rule::Sum, Rule::Hierarchical] {
        let mut engine = Engine::<1>::new(rule);
        engine.add_agent([4]).unwrap();
        let role = engine.add_role(NodeId::ROOT, Weight::ONE);
        let below = engine.add_role(role, Weight::ONE);
        let seat = engine.add_framework(below, Weight::ONE, [1]).unwrap();
        engine.remove_framework(seat).unwrap();
        engine.remove_role(below).unwrap();
        let refused = engine.add_framework(below, Weight::ONE, [1]);
        assert_eq!(refused, Err(Refused::NoRole));
        assert_eq!(
            engine.remove_role(below),
            Err(Refused::Unknown),
            "nor is it removed twice"
        );
        // The role above is still one, and the engine goes on.
        let seat = engine.add_framework(role, Weight::ONE, [1]).unwrap();
        engine.want(seat, 1);
        assert_eq!(engine.decide().map(|decision| decision.seat), Some(seat));
        assert!(refused.unwrap_err().to_string().contains("no such role"));
    }
}
