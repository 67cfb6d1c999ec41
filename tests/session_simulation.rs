//! Commands beside tasks on a cluster in a simulated network: through the agent to the executor and
//! back, and what becomes of them when somebody on the way is lost.

#[path = "cluster/support.rs"]
mod cluster;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use cluster::{
    faults, sessions,
    simulation::{Outcomes, Plan, Simulation},
};
use tepui_batch::Job;
use tepui_protocol::Role;
use tepui_runtime::testkit::sim::Schedule;

const CLIENT: &str = "client";
/// After this time what was lost is noticed and ended, by all time-outs.
const SETTLED: Duration = Duration::from_secs(30);

type Told = Rc<RefCell<Option<Result<(String, u8), String>>>>;

/// A cluster with a long task, and a client that runs `line` beside it.
fn cluster(line: &'static str) -> (Simulation, Told) {
    let mut simulation = Simulation::new(Plan {
        seed: 1,
        machines: vec!["cpus:2;mem:512".parse().expect("valid resources")],
        latency: Duration::from_millis(5),
        faults: Schedule::default(),
        calm_from: Duration::ZERO,
    });
    let resources = "cpus:1;mem:64".parse().expect("valid resources");
    let job = Job::single("long", "sleep 1000", resources, 1).expect("a valid job");
    let outcomes: Outcomes = Rc::new(RefCell::new(BTreeMap::new()));
    simulation.job(1, Role::star(), job, &outcomes);
    let (site, told): (_, Told) = (simulation.site.clone(), Rc::default());
    let seen = told.clone();
    simulation.host(CLIENT, move || {
        let (site, told) = (site.clone(), told.clone());
        async move {
            let result = sessions::run(site, CLIENT, line).await;
            *told.borrow_mut() = Some(result);
            Ok(())
        }
    });
    (simulation, seen)
}

/// Drives the simulation until `line` runs beside the task.
fn until_it_runs(simulation: &mut Simulation) {
    while simulation.machine(1).sessions() == 0 {
        simulation
            .run_for(Duration::from_millis(100))
            .expect("no violation");
    }
}

#[test]
fn output_and_exit_code_come_back() {
    let (mut simulation, told) = cluster("sleep 7; exit 5");
    let seen = told.clone();
    let done = move || seen.borrow().is_some();
    simulation.run(SETTLED, done).expect("it ends");
    let expected = Ok(("sleep 7; exit 5".to_owned(), 5));
    assert_eq!(*told.borrow(), Some(expected));
    assert_eq!(simulation.machine(1).sessions(), 0);
}

#[test]
fn a_client_that_is_lost_takes_its_command_along() {
    for crashes in [true, false] {
        let (mut simulation, _) = cluster("sleep 900");
        until_it_runs(&mut simulation);
        match crashes {
            true => simulation.crash(CLIENT),
            false => simulation.isolate(CLIENT),
        }
        simulation.run_for(SETTLED).expect("no violation");
        assert_eq!(simulation.machine(1).sessions(), 0, "crashes: {crashes}");
        assert_eq!(simulation.machine(1).tasks().len(), 1, "the task runs on");
    }
}

#[test]
fn a_command_ends_with_the_agent_that_was_asked_for_it() {
    let (mut simulation, told) = cluster("sleep 900");
    until_it_runs(&mut simulation);
    simulation.crash(&faults::agent(1));
    simulation.run_for(SETTLED).expect("no violation");
    assert_eq!(simulation.machine(1).sessions(), 0);
    assert_eq!(simulation.machine(1).tasks().len(), 1, "the task runs on");
    assert!(
        matches!(*told.borrow(), Some(Err(_))),
        "{:?}",
        told.borrow()
    );
}
