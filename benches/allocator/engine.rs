//! The engine under the workload of the decision figures.

use std::collections::VecDeque;

use tepui_allocator::{
    Weight,
    engine::{Engine, Slot, Task},
    order::{NodeId, Rule},
};

use super::workload::{ROLES, Workload};

/// How the roles are arranged above the frameworks.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Roles, then frameworks: two levels.
    Flat,
    /// 5 × 5 × 4 roles, then frameworks: four levels.
    Deep,
}

pub(crate) struct Loaded {
    pub(crate) engine: Engine<4>,
    running: VecDeque<Slot<Task>>,
    limit: u64,
}

impl Loaded {
    pub(crate) fn new(workload: &Workload, rule: Rule, shape: Shape, load: f64) -> Self {
        let mut engine = Engine::new(rule);
        let roles = roles(&mut engine, shape);
        for _ in 0..workload.agents {
            engine
                .add_agent(workload.capacity)
                .expect("it can be counted");
        }
        let per_role = workload.demands.len() / ROLES;
        for (n, demand) in workload.demands.iter().enumerate() {
            let seat = engine
                .add_framework(roles[n / per_role], Weight::ONE, *demand)
                .expect("its role is there");
            engine.want(seat, u64::MAX);
        }
        let memory = workload.capacity[1] * workload.agents as u64;
        Self {
            engine,
            running: VecDeque::new(),
            limit: (load * memory as f64) as u64,
        }
    }

    /// Ends the oldest tasks above the load, then places one.
    pub(crate) fn decide(&mut self) -> bool {
        while self.engine.held(NodeId::ROOT)[1] > self.limit {
            self.end();
        }
        let made = self.engine.decide();
        self.running.extend(made.map(|made| made.task));
        made.is_some()
    }

    pub(crate) fn end(&mut self) {
        if let Some(task) = self.running.pop_front() {
            assert!(self.engine.end(task), "it runs");
        }
    }
}

/// The roles above the frameworks.
pub(crate) fn roles(engine: &mut Engine<4>, shape: Shape) -> Vec<NodeId> {
    let mut level = vec![NodeId::ROOT];
    let branches: &[usize] = match shape {
        Shape::Flat => &[ROLES],
        Shape::Deep => &[5, 5, 4],
    };
    for &branch in branches {
        let above = level
            .into_iter()
            .flat_map(|node| std::iter::repeat_n(node, branch));
        level = above
            .map(|node| engine.add_role(node, Weight::ONE))
            .collect();
    }
    level
}
