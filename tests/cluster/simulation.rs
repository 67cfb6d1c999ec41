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
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tepui_agent::{AgentActor, AgentConfig};
use tepui_batch::{Job, JobOptions, JobOutcome, run_job};
use tepui_framework::Timing;
use tepui_master::{MasterActor, MasterConfig};
use tepui_protocol::{MasterId, Resources, Role};
use tepui_runtime::{
    AnyPid, Node, NodeAddr, filter::Filters, testkit::until_killed, transport::Turmoil,
};
use tepui_store::MemoryStore;
use tokio::sync::Notify;

use super::{
    executors,
    faults::{self, Fault, Schedule},
    journal::{Journal, Violation},
    launcher::SimLauncher,
    machine::Machine,
    panics, rng,
    watch::Watch,
};

/// Where clocks start, in microseconds since the Unix epoch: 2000-01-01.
const EPOCH_MICROS: u64 = 946_684_800_000_000;
/// How much time passes on one host before it is another's turn.
const TICK: Duration = Duration::from_millis(10);
const PORT: u16 = 5050;

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
    filters: Filters,
}

impl Site {
    /// Starts a node on the host of that name.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn node(&self, host: &str, port: u16) -> Result<Node, Box<dyn std::error::Error>> {
        let now = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        let node = Node::builder(NodeAddr::new(host, port))
            .local()
            .transport(Arc::new(Turmoil))
            .seed(rng::number(self.seed, &format!("{host}:{port} at {now}")))
            .start_time(EPOCH_MICROS + u64::try_from(now).expect("simulations are short"))
            .heartbeat(Duration::from_millis(500), Duration::from_secs(3))
            .filters(self.filters.clone());
        Ok(node.start().await?)
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

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was violated.
    pub violation: Violation,
    /// When it was noticed.
    pub at: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} after {:?}: {}",
            self.violation.id, self.at, self.violation.what
        )
    }
}

/// The parts that faults are made of.
#[derive(Clone, Debug)]
enum Action {
    Begin(Fault),
    End(Fault),
    Calm,
    /// The software of a host has been dropped.
    Bury(String),
}

/// A running simulation.
pub struct Simulation {
    sim: turmoil::Sim<'static>,
    /// What is given to each host.
    pub site: Site,
    /// The hosts, and what kills their software.
    hosts: BTreeMap<String, Rc<Notify>>,
    machines: Vec<Machine>,
    /// Hosts that were crashed and not started again.
    down: BTreeSet<String>,
    actions: Vec<(Duration, Action)>,
    plan: Plan,
}

/// Outcomes of jobs by their framework's host.
pub type Outcomes = Rc<RefCell<BTreeMap<String, JobOutcome>>>;

impl Simulation {
    /// A master and agents, as planned.
    pub fn new(plan: Plan) -> Self {
        panics::record();
        let (journal, filters) = (Journal::default(), Filters::default());
        let machines: Vec<_> = plan.machines.iter().map(|_| Machine::new()).collect();
        let totals = machines.iter().cloned().zip(plan.machines.iter().cloned());
        let watch = Watch::new(journal.clone(), totals.collect());
        let seer = watch.clone();
        filters.trace(Arc::new(move |event| seer.see(event)));
        let sim = network(&plan);
        let site = Site {
            seed: plan.seed,
            journal,
            watch,
            filters,
        };
        let (actions, machines_kept) = (actions(&plan), machines.clone());
        let (hosts, down) = (BTreeMap::new(), BTreeSet::new());
        let mut this = Self {
            sim,
            site,
            hosts,
            machines: machines_kept,
            down,
            actions,
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
        let killed = Rc::new(Notify::new());
        self.hosts.insert(name.to_owned(), killed.clone());
        self.sim.host(name, move || {
            let (software, killed) = (software(), killed.clone());
            async move { until_killed(&killed, software).await }
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

    /// Drives the simulation until `done`.
    ///
    /// # Errors
    /// The first violation; `SIM-6` when the deadline is over.
    pub fn run(&mut self, deadline: Duration, done: impl Fn() -> bool) -> Result<(), Failure> {
        while !done() {
            if let Err(violation) = self.step(deadline) {
                return Err(Failure {
                    violation,
                    at: self.sim.elapsed(),
                });
            }
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
            if let Err(violation) = self.step(Duration::MAX) {
                return Err(Failure {
                    violation,
                    at: self.sim.elapsed(),
                });
            }
        }
        Ok(())
    }

    /// The first violation so far.
    ///
    /// # Errors
    /// That violation.
    pub fn verdict(&self) -> Result<(), Failure> {
        let violation = self.site.journal.violation();
        violation.map_or(Ok(()), |violation| {
            Err(Failure {
                violation,
                at: self.sim.elapsed(),
            })
        })
    }

    fn step(&mut self, deadline: Duration) -> Result<(), Violation> {
        let now = self.sim.elapsed();
        let due = self.actions.partition_point(|(at, _)| *at <= now);
        let due: Vec<_> = self.actions.drain(..due).collect();
        due.iter().for_each(|(_, action)| self.act(action));
        let stepped = self.sim.step();
        if let Some(panic) = panics::take().into_iter().next() {
            return Err(Violation {
                id: "SIM-1".to_owned(),
                what: panic,
            });
        }
        if let Err(error) = stepped {
            return Err(Violation {
                id: "SIM-1".to_owned(),
                what: error.to_string(),
            });
        }
        self.site
            .watch
            .check(now, now.checked_sub(self.plan.calm_from));
        if now > deadline {
            self.site
                .journal
                .violated("SIM-6", format!("not done after {now:?}"));
        }
        self.site.journal.violation().map_or(Ok(()), Err)
    }

    fn act(&mut self, action: &Action) {
        let text = match action {
            Action::Begin(fault) => format!("fault: {fault}"),
            Action::End(fault) => format!("over: {fault}"),
            Action::Calm => "all faults are over".to_owned(),
            Action::Bury(host) => return self.sim.crash(host.as_str()),
        };
        self.site.journal.note_at(self.sim.elapsed(), &text);
        match action {
            Action::Begin(fault) => self.begin(fault),
            Action::End(fault) => self.end(fault),
            Action::Calm => self.calm(),
            Action::Bury(_) => {}
        }
    }

    fn begin(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { host, .. } => self.crash(host),
            Fault::PowerCut { machine, .. } => self.power_off(*machine),
            Fault::KillExecutor { machine, pick } => {
                self.machines[*machine - 1].kill_an_executor(*pick);
            }
            Fault::KillTask { machine, pick } => {
                self.machines[*machine - 1].kill_a_task(*pick);
            }
            Fault::Cut { a, b, .. } => self.sim.partition(a.as_str(), b.as_str()),
            Fault::CutOneWay { from, to, .. } => {
                self.sim.partition_oneway(from.as_str(), to.as_str());
            }
            Fault::Loss {
                a, b, per_mille, ..
            } => {
                let rate = f64::from(*per_mille) / 1000.0;
                self.sim.set_link_fail_rate(a.as_str(), b.as_str(), rate);
            }
            Fault::Slow { latency, .. } => self.sim.set_max_message_latency(*latency),
        }
    }

    fn end(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { host, .. } => self.start(host),
            Fault::PowerCut { machine, .. } => self.power_on(*machine),
            Fault::KillExecutor { .. } | Fault::KillTask { .. } => {}
            Fault::Cut { a, b, .. } => self.join(a, b),
            Fault::CutOneWay { from, to, .. } => {
                self.sim.repair_oneway(from.as_str(), to.as_str());
            }
            Fault::Loss { a, b, .. } => {
                self.sim.set_link_fail_rate(a.as_str(), b.as_str(), 0.0);
                self.join(a, b);
            }
            Fault::Slow { .. } => self.sim.set_max_message_latency(self.plan.latency),
        }
    }

    /// The end of all faults, whatever overlapped.
    fn calm(&mut self) {
        self.sim.set_max_message_latency(self.plan.latency);
        let hosts: Vec<&String> = self.hosts.keys().collect();
        for (at, a) in hosts.iter().enumerate() {
            for b in &hosts[at + 1..] {
                self.sim.set_link_fail_rate(a.as_str(), b.as_str(), 0.0);
                self.join(a, b);
            }
        }
    }

    fn join(&self, a: &str, b: &str) {
        self.sim.repair(a, b);
    }

    /// Kills what runs on a host; one whose work is done is left alone.
    fn crash(&mut self, host: &str) {
        if self.sim.is_host_running(host) && self.down.insert(host.to_owned()) {
            self.hosts[host].notify_one();
            self.actions
                .insert(0, (self.sim.elapsed(), Action::Bury(host.to_owned())));
        }
    }

    fn start(&mut self, host: &str) {
        if self.down.remove(host) {
            self.sim.bounce(host);
        }
    }

    fn power_off(&mut self, machine: usize) {
        let own = [faults::agent(machine), faults::executors(machine)];
        for host in &own {
            for other in self.hosts.keys().filter(|other| *other != host) {
                self.sim.partition(host.as_str(), other.as_str());
            }
        }
        own.iter().for_each(|host| self.crash(host));
        self.machines[machine - 1].power_off();
    }

    fn power_on(&mut self, machine: usize) {
        for host in [faults::agent(machine), faults::executors(machine)] {
            for other in self.hosts.keys().filter(|other| **other != host) {
                self.sim.repair(host.as_str(), other.as_str());
            }
            self.start(&host);
        }
    }
}

/// The network. With odd seeds the hosts' turns come in random order.
fn network(plan: &Plan) -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(plan.seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(86_400))
        .max_message_latency(plan.latency);
    if !plan.seed.is_multiple_of(2) {
        builder.enable_random_order();
    }
    builder.build()
}

/// The faults as beginnings and ends, in the order of their times. None ends after the calm begins.
fn actions(plan: &Plan) -> Vec<(Duration, Action)> {
    let mut all = vec![(plan.calm_from, Action::Calm)];
    for (at, fault) in &plan.faults.0 {
        all.push((*at, Action::Begin(fault.clone())));
        if let Some(span) = fault.span() {
            all.push(((*at + span).min(plan.calm_from), Action::End(fault.clone())));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    all
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

fn timing() -> Timing {
    Timing {
        backoff_first: Duration::from_millis(300),
        backoff_max: Duration::from_secs(3),
        reconcile_every: Duration::from_secs(10),
        ..Timing::default()
    }
}
