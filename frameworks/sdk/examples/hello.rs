//! The smallest framework: says hello from three tasks, shows what becomes of them, and ends.
//!
//! `cargo run -p tepui-framework --example hello 127.0.0.1:5050` (any running master)

use std::{collections::BTreeSet, process::ExitCode};

use tepui_framework::protocol::{
    CommandInfo, FrameworkInfo, Offer, Resources, Role, TaskId, TaskInfo, TaskStatus,
};
use tepui_framework::{Calls, End, Scheduler};

/// A framework is whatever implements `Scheduler`; its fields are its state.
struct Hello {
    to_launch: u32,
    running: BTreeSet<TaskId>,
}

impl Scheduler for Hello {
    /// The master offers resources of its agents: use each offer, or give it back.
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        let wanted: Resources = "cpus:0.1;mem:32".parse().expect("a valid text");
        for offer in offers {
            // `find` picks, from what is offered, resources for one task; it may not suffice.
            let found = offer.resources.find(&wanted).filter(|_| self.to_launch > 0);
            let Some(resources) = found else {
                calls.decline([offer.id], Default::default());
                continue;
            };
            let id = TaskId::new(format!("hello-{}", self.to_launch)).expect("a valid id");
            let command = CommandInfo::shell("echo hello from $TEPUI_TASK_ID");
            let agent = offer.agent_id.clone();
            calls.launch(
                &offer,
                vec![TaskInfo::command(id.clone(), agent, resources, command)],
            );
            self.to_launch -= 1;
            self.running.insert(id);
        }
    }

    /// Every change of a task's state arrives here; the driver acknowledges it afterwards.
    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        println!("{} is {}", status.task_id, status.state);
        if status.state.is_terminal() {
            self.running.remove(&status.task_id);
        }
        if self.running.is_empty() && self.to_launch == 0 {
            calls.stop(End::Teardown); // ends `main` below
        }
    }
}

fn main() -> ExitCode {
    let hello = Hello {
        to_launch: 3,
        running: BTreeSet::new(),
    };
    tepui_framework::main(FrameworkInfo::new("hello", Role::star()), hello)
}
