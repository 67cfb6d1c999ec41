//! A cluster in a simulated network: hosts, what runs on them, and the loop that drives it all.
//!
//! ```text
//!  master   agent-1 .. agent-n        exec-1 .. exec-n          framework-1 .. framework-m
//!              |  (one machine:          |
//!              +-- shared `Machine` -----+    an agent's process dies alone, a machine dies whole)
//! ```
//! What must survive a crash is in stores outside of the hosts; a commit that had not ended is lost.
//! Everything is decided by the seed.

use std::{
    cell::RefCell, collections::BTreeMap, future::Future, rc::Rc, sync::Arc, time::Duration,
};

use tepui_agent::{AgentActor, AgentConfig};
use tepui_batch::{Job, JobOptions, JobOutcome, run_job};
use tepui_framework::Timing;
use tepui_master::{MasterActor, MasterConfig};
use tepui_protocol::{MasterId, Resources, Role};
pub use tepui_runtime::testkit::sim::Failure;
use tepui_runtime::{
    AnyPid, Node, NodeAddr,
    testkit::sim::{Host, Moment, Settings, Sim, Timeline},
};
use tepui_store::MemoryStore;

use super::{
    executors,
    faults::{self, Fault, MachineFault, Schedule},
    journal::Journal,
    launcher::SimLauncher,
    machine::Machine,
    watch::Watch,
};

pub const PORT: u16 = 5050;

/// A cluster and what is to go wrong in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// What each machine has.
    pub machines: Vec<Resources>,
    /// The longest that a segment takes while nothing is slow.
    pub latency: Duration,
    /// What goes wrong.
    pub faults: Schedule,
    /// When all faults are over: everybody runs, and everybody reaches everybody.
    pub calm_from: Duration,
}

/// What a host needs to start nodes; clones are the same.
#[derive(Clone)]
pub struct Site {
    /// The simulation's seed.
    pub seed: u64,
    /// What a run leaves behind.
    pub journal: Journal,
    /// Checks what passes.
    pub watch: Watch,
    hosts: Rc<RefCell<BTreeMap<String, Host>>>,
}

impl Site {
    /// Starts a node on the host of that name.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn node(&self, host: &str, port: u16) -> Result<Node, Box<dyn std::error::Error>> {
        let host = self.hosts.borrow()[host].clone();
        host.node_at(port).await
    }

    /// Waits for the end of an actor that is to run as long as its host.
    async fn attend(&self, node: &Node, actor: &AnyPid) {
        let exited = node.monitor(actor).await;
        self.journal
            .violated("SIM-1", format!("{actor} has ended: {}", exited.reason));
    }
}

/// Where everybody finds the master.
pub fn master() -> AnyPid {
    AnyPid::new("master", NodeAddr::new("master", PORT)).expect("a valid name")
}

/// A running simulation.
pub struct Simulation {
    sim: Sim,
    /// What is given to each host.
    pub site: Site,
    machines: Vec<Machine>,
    timeline: Timeline<Fault>,
    plan: Plan,
}

/// Outcomes of jobs by their framework's host.
pub type Outcomes = Rc<RefCell<BTreeMap<String, JobOutcome>>>;

impl Simulation {
    /// A master and agents, as planned.
    pub fn new(plan: Plan) -> Self {
        let sim = Sim::new(Settings {
            latency: plan.latency,
            ..Settings::new(plan.seed)
        });
        let journal = sim.journal().clone();
        let machines: Vec<_> = plan.machines.iter().map(|_| Machine::new()).collect();
        let totals = machines.iter().cloned().zip(plan.machines.iter().cloned());
        let watch = Watch::new(journal.clone(), totals.collect());
        let seer = watch.clone();
        sim.trace_with(Arc::new(move |event| seer.see(event)));
        let site = Site {
            seed: plan.seed,
            journal,
            watch,
            hosts: Rc::default(),
        };
        let timeline = Timeline::new(&plan.faults, plan.calm_from);
        let mut this = Self {
            sim,
            site,
            machines: machines.clone(),
            timeline,
            plan,
        };
        this.add_master();
        for (at, machine) in machines.into_iter().enumerate() {
            this.add_machine(at + 1, machine);
        }
        this
    }

    fn add_master(&mut self) {
        let (site, store) = (self.site.clone(), MemoryStore::new());
        self.host("master", move || master_life(site.clone(), store.clone()));
    }

    fn add_machine(&mut self, number: usize, machine: Machine) {
        let (site, store) = (self.site.clone(), MemoryStore::new());
        let resources = self.plan.machines[number - 1].clone();
        let here = machine.clone();
        self.host(&faults::agent(number), move || {
            agent_life(
                site.clone(),
                number,
                resources.clone(),
                here.clone(),
                store.clone(),
            )
        });
        let (site, name) = (self.site.clone(), faults::executors(number));
        self.host(&name.clone(), move || {
            executors::host(site.clone(), name.clone(), machine.clone())
        });
    }

    /// Adds a host whose software starts anew after each crash.
    pub fn host<F, L>(&mut self, name: &str, software: F)
    where
        F: Fn() -> L + 'static,
        L: Future<Output = turmoil::Result> + 'static,
    {
        let hosts = self.site.hosts.clone();
        self.sim.host(name, move |host| {
            hosts.borrow_mut().insert(host.name().to_owned(), host);
            software()
        });
    }

    /// Adds a framework that runs `job`; its outcome will be found under the host's name.
    pub fn job(&mut self, number: usize, role: Role, job: Job, outcomes: &Outcomes) {
        let (site, store) = (self.site.clone(), MemoryStore::new());
        let (name, outcomes) = (faults::framework(number), outcomes.clone());
        self.host(&name.clone(), move || {
            let (site, store, name) = (site.clone(), store.clone(), name.clone());
            let (role, job, outcomes) = (role.clone(), job.clone(), outcomes.clone());
            async move {
                let node = site.node(&name, PORT).await?;
                let timing = timing();
                let options = JobOptions {
                    role,
                    timing,
                    store: Box::new(store),
                    ..JobOptions::default()
                };
                match run_job(&node, &master(), job, options).await {
                    Ok(outcome) => {
                        outcomes.borrow_mut().insert(name, outcome);
                    }
                    Err(error) => site.journal.violated("SIM-6", format!("{name}: {error}")),
                }
                node.shutdown().await;
                Ok(())
            }
        });
    }

    /// A machine, from 1 on.
    pub fn machine(&self, number: usize) -> &Machine {
        &self.machines[number - 1]
    }

    /// A host's processes end at once.
    pub fn crash(&mut self, host: &str) {
        self.sim.crash(host);
    }

    /// A host reaches nobody any more.
    pub fn isolate(&mut self, host: &str) {
        self.sim.isolate(host);
    }

    /// Drives the simulation until `done`.
    ///
    /// # Errors
    /// The first violation; `SIM-6` when the deadline is over.
    pub fn run(&mut self, deadline: Duration, done: impl Fn() -> bool) -> Result<(), Failure> {
        while !done() {
            self.step(deadline)?;
        }
        Ok(())
    }

    /// Drives the simulation for a while.
    ///
    /// # Errors
    /// The first violation.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Failure> {
        let until = self.sim.elapsed() + span;
        while self.sim.elapsed() < until {
            self.step(Duration::MAX)?;
        }
        Ok(())
    }

    /// The first violation so far.
    ///
    /// # Errors
    /// That violation.
    pub fn verdict(&self) -> Result<(), Failure> {
        self.sim.verdict()
    }

    fn step(&mut self, deadline: Duration) -> Result<(), Failure> {
        let now = self.sim.elapsed();
        for moment in self.timeline.due(now) {
            self.sim.note(&moment);
            self.act(&moment);
        }
        self.sim.step()?;
        self.site
            .watch
            .check(now, now.checked_sub(self.plan.calm_from));
        if now > deadline {
            self.site
                .journal
                .violated("SIM-6", format!("not done after {now:?}"));
        }
        self.verdict()
    }

    fn act(&mut self, moment: &Moment<Fault>) {
        match moment {
            Moment::Begin(Fault::Host(fault)) => self.sim.begin(fault),
            Moment::End(Fault::Host(fault)) => self.sim.end(fault),
            Moment::Begin(Fault::Machine(fault)) => self.begin(fault),
            Moment::End(Fault::Machine(fault)) => self.end(fault),
            Moment::Calm => self.sim.calm(),
        }
    }

    fn begin(&mut self, fault: &MachineFault) {
        match fault {
            MachineFault::PowerCut { machine, .. } => {
                let own = [faults::agent(*machine), faults::executors(*machine)];
                own.iter().for_each(|host| self.sim.isolate(host));
                own.iter().for_each(|host| self.sim.crash(host));
                self.machines[*machine - 1].power_off();
            }
            MachineFault::KillExecutor { machine, pick } => {
                self.machines[*machine - 1].kill_an_executor(*pick);
            }
            MachineFault::KillTask { machine, pick } => {
                self.machines[*machine - 1].kill_a_task(*pick);
            }
        }
    }

    fn end(&mut self, fault: &MachineFault) {
        if let MachineFault::PowerCut { machine, .. } = fault {
            for host in [faults::agent(*machine), faults::executors(*machine)] {
                self.sim.reconnect(&host);
                self.sim.start(&host);
            }
        }
    }
}

async fn master_life(site: Site, store: MemoryStore) -> turmoil::Result {
    let node = site.node("master", PORT).await?;
    let id = MasterId::new(node.uuid().to_string())?;
    let config = MasterConfig {
        allocation_interval: Duration::from_millis(500),
        heartbeat_interval: Duration::from_secs(3),
        agent_ping_interval: Duration::from_secs(2),
        max_missed_pings: 3,
        agent_reregister_timeout: Duration::from_secs(15),
        seed: site.seed,
        ..MasterConfig::default()
    };
    let actor = node.spawn("master", MasterActor::new(config, Box::new(store), id)?)?;
    site.attend(&node, actor.as_any()).await;
    Ok(())
}

async fn agent_life(
    site: Site,
    number: usize,
    resources: Resources,
    machine: Machine,
    store: MemoryStore,
) -> turmoil::Result {
    let name = faults::agent(number);
    let node = site.node(&name, PORT).await?;
    let config = AgentConfig {
        work_dir: "/simulated".into(),
        hostname: name.clone(),
        resources,
        registration_backoff: Duration::from_millis(300),
        registration_backoff_max: Duration::from_secs(3),
        ping_timeout: Duration::from_secs(8),
        executor_registration_timeout: Duration::from_secs(10),
        executor_reconnect_timeout: Duration::from_secs(5),
        update_retry_min: Duration::from_secs(1),
        update_retry_max: Duration::from_secs(8),
        recovery_timeout: Duration::from_secs(60),
        ..AgentConfig::default()
    };
    let boot = machine.boot_id();
    let launcher = SimLauncher {
        machine,
        seed: site.seed,
    };
    let (store, launcher) = (Box::new(store), Box::new(launcher));
    let actor = AgentActor::on_boot(boot, config, store, launcher, master(), node.rng())?;
    let actor = node.spawn(tepui_agent::actor::NAME, actor)?;
    site.attend(&node, actor.as_any()).await;
    Ok(())
}

pub fn timing() -> Timing {
    Timing {
        backoff_first: Duration::from_millis(300),
        backoff_max: Duration::from_secs(3),
        reconcile_every: Duration::from_secs(10),
        ..Timing::default()
    }
}
