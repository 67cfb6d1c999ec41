//! Seeded simulation of several nodes: hosts in a simulated network, faults in it, and invariants.
//!
//! Everything follows from a seed and a list of faults: the same two give the same run, to the last
//! message. [`Explore`] runs many seeds, and when one fails, finds the faults that are needed for it.
//!
//! ```
//! use std::time::Duration;
//! use tepui_runtime::{prelude::*, testkit::sim::{Explore, Shape, Sim}};
//!
//! #[derive(Serialize, Deserialize, Message)]
//! #[message(name = "doc.Ping", reply = u64)]
//! struct Ping;
//!
//! struct Echo(u64);
//! impl Actor for Echo {
//!     type Context = Context<Self>;
//! }
//! impl Handler<Ping> for Echo {
//!     type Result = u64;
//!     fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> u64 {
//!         self.0 += 1;
//!         self.0
//!     }
//! }
//! accepts!(Echo: Ping);
//!
//! let shape = Shape::new(["asker", "echo"], Duration::from_secs(20));
//! Explore::new("echo", "cargo test --doc").seeds(0..3).faults(shape).check(|sim: &mut Sim| {
//!     sim.host("echo", async |host| {
//!         let node = host.node().await?;
//!         let echo = node.spawn("echo", Echo(0))?;
//!         host.lives(&node, echo.as_any()).await
//!     });
//!     sim.host("asker", async |host| {
//!         let (node, echo) = (host.node().await?, "echo@echo:1".parse()?);
//!         while node.ask(&echo, Ping, Duration::from_secs(1)).await.is_err() {
//!             host.pause(Duration::from_millis(100)).await;
//!         }
//!         host.note("heard the echo");
//!         Ok(())
//!     });
//!     sim.run_for(Duration::from_secs(30))?;
//!     sim.ensure("ECHO-1 it is heard once the faults are over", sim.journal().has("heard the echo"))
//! });
//! ```
//!
//! | to learn | read |
//! |---|---|
//! | what can go wrong | [`Fault`], [`Schedule`], [`Shape`] |
//! | many seeds, replay, shrinking | [`Explore`] |
//! | what a run leaves behind, and its file | [`Journal`], [`TraceFile`] |
//! | what the software of a host has | [`Host`] |

mod explore;
mod fault;
mod host;
mod journal;
pub mod micros;
mod panics;
pub mod rng;
mod schedule;
mod shrink;
mod trace;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use self::host::HostClock;
pub use self::{
    explore::{Case, Explore, Ran},
    fault::{AnyFault, Fault},
    host::{Host, until_killed},
    journal::{Failure, Journal, Violation},
    schedule::{Moment, Schedule, Shape, Timed, Timeline},
    shrink::shrink,
    trace::{BadTrace, TraceFile},
};
use crate::filter::{Filters, Trace};

/// How a simulation is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides everything that is random.
    pub seed: u64,
    /// The longest that a segment takes while nothing is slow.
    pub latency: Duration,
    /// How much time passes on one host before it is another's turn.
    pub tick: Duration,
    /// What goes wrong.
    pub faults: Schedule<Fault>,
    /// When all faults are over, whatever they say.
    pub calm_from: Duration,
    /// An idle link sends a sign of life so often, and a peer is lost after such a silence.
    pub heartbeat: (Duration, Duration),
}

impl Settings {
    /// No faults, 20 ms of latency, ticks of 10 ms, peers that are lost after 3 s.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            latency: Duration::from_millis(20),
            tick: Duration::from_millis(10),
            faults: Schedule::default(),
            calm_from: Duration::MAX,
            heartbeat: (Duration::from_millis(500), Duration::from_secs(3)),
        }
    }
}

/// What the driver has of a host.
struct HostState {
    killed: Rc<Notify>,
    clock: HostClock,
}

/// A simulated network and the hosts in it.
pub struct Sim {
    net: turmoil::Sim<'static>,
    settings: Settings,
    journal: Journal,
    filters: Filters,
    hosts: BTreeMap<String, HostState>,
    /// Hosts that were crashed and not started again.
    down: BTreeSet<String>,
    /// Their software is dropped in the next step.
    dying: Vec<String>,
    /// Those of them that start again right after that.
    reviving: Vec<String>,
    timeline: Timeline<Fault>,
    /// How many faults keep segments from getting from one host to another.
    cuts: BTreeMap<(String, String), usize>,
    /// How long segments take at most on links that are, or were, slower than others.
    slow_links: BTreeMap<(String, String), Vec<Duration>>,
    /// The same, for all links.
    slow: Vec<Duration>,
}

impl Sim {
    /// A network without hosts.
    pub fn new(settings: Settings) -> Self {
        panics::record();
        let mut net = turmoil::Builder::new();
        net.rng_seed(settings.seed)
            .tick_duration(settings.tick)
            .simulation_duration(Duration::from_secs(86_400))
            .max_message_latency(settings.latency);
        if !settings.seed.is_multiple_of(2) {
            net.enable_random_order();
        }
        let (journal, filters) = (Journal::default(), Filters::default());
        let noting = journal.clone();
        filters.trace(Arc::new(move |event| noting.note_event(event)));
        Self {
            net: net.build(),
            timeline: Timeline::new(&settings.faults, settings.calm_from),
            settings,
            journal,
            filters,
            hosts: BTreeMap::new(),
            down: BTreeSet::new(),
            dying: Vec::new(),
            reviving: Vec::new(),
            cuts: BTreeMap::new(),
            slow_links: BTreeMap::new(),
            slow: Vec::new(),
        }
    }

    /// Adds a host. Its software starts anew after each crash; a host whose software has ended, or
    /// returned an error (`SIM-1`), has ended.
    pub fn host<F, L>(&mut self, name: &str, software: F)
    where
        F: Fn(Host) -> L + 'static,
        L: Future<Output = turmoil::Result> + 'static,
    {
        let (killed, clock) = (Rc::new(Notify::new()), HostClock::default());
        let host = Host {
            name: name.to_owned(),
            seed: self.settings.seed,
            heartbeat: self.settings.heartbeat,
            journal: self.journal.clone(),
            filters: self.filters.clone(),
            clock: clock.clone(),
        };
        let state = HostState {
            killed: killed.clone(),
            clock,
        };
        self.hosts.insert(name.to_owned(), state);
        self.net.host(name, move || {
            let (software, killed) = (software(host.clone()), killed.clone());
            async move { until_killed(&killed, software).await }
        });
    }

    /// Has `trace` called with every message in place of what is written into the journal otherwise.
    pub fn trace_with(&self, trace: Trace) {
        self.filters.trace(trace);
    }

    /// The filters that the messages of all hosts pass.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// What the run leaves behind.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How much time has passed in the simulation.
    pub fn elapsed(&self) -> Duration {
        self.net.elapsed()
    }

    /// The hosts, in order of their names.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// Whether the software of a host runs.
    pub fn is_running(&mut self, host: &str) -> bool {
        self.net.is_host_running(host)
    }

    /// Lets one tick pass on each host, after the faults that are due.
    ///
    /// # Errors
    /// The first violation of the run.
    pub fn step(&mut self) -> Result<(), Failure> {
        for moment in self.timeline.due(self.net.elapsed()) {
            self.note(&moment);
            match moment {
                Moment::Begin(fault) => self.begin(&fault),
                Moment::End(fault) => self.end(&fault),
                Moment::Calm => self.calm(),
            }
        }
        let stepped = self.net.step();
        for host in std::mem::take(&mut self.dying) {
            self.net.crash(host.as_str());
        }
        for host in std::mem::take(&mut self.reviving) {
            self.net.bounce(host.as_str());
        }
        let panic = panics::take().into_iter().next();
        if let Some(what) = panic.or(stepped.err().map(|error| error.to_string())) {
            self.journal.violated("SIM-1", what);
        }
        self.verdict()
    }

    /// Writes down what goes wrong or ends.
    pub fn note<F: AnyFault>(&self, moment: &Moment<F>) {
        self.journal
            .note_at(self.net.elapsed(), &moment.to_string());
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The first violation of the run.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Failure> {
        let until = self.net.elapsed() + span;
        while self.net.elapsed() < until {
            self.step()?;
        }
        Ok(())
    }

    /// Lets time pass until `done`.
    ///
    /// # Errors
    /// The first violation of the run; `SIM-DONE` when it is not done within `limit`.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Journal) -> bool,
    ) -> Result<(), Failure> {
        let until = self.net.elapsed() + limit;
        while !done(&self.journal) {
            self.step()?;
            if self.net.elapsed() > until {
                return self.ensure(&format!("SIM-DONE within {limit:?}"), false);
            }
        }
        Ok(())
    }

    /// The first violation so far.
    ///
    /// # Errors
    /// That violation.
    pub fn verdict(&self) -> Result<(), Failure> {
        let Some(violation) = self.journal.violation() else {
            return Ok(());
        };
        let at = self.net.elapsed();
        Err(Failure { violation, at })
    }

    /// Checks an invariant; its text begins with its id.
    ///
    /// # Errors
    /// The first violation of the run, which this is if it does not hold.
    pub fn ensure(&self, invariant: &str, holds: bool) -> Result<(), Failure> {
        if !holds {
            let (id, what) = invariant
                .split_once(' ')
                .unwrap_or((invariant, "does not hold"));
            self.journal.violated(id, what);
        }
        self.verdict()
    }

    /// Begins a fault, as the schedule does it.
    pub fn begin(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { host, .. } => self.crash(host),
            Fault::Cut { a, b, .. } => {
                self.cut(a, b);
                self.cut(b, a);
            }
            Fault::CutOneWay { from, to, .. } => self.cut(from, to),
            Fault::Loss {
                a, b, per_mille, ..
            } => {
                let rate = f64::from(*per_mille) / 1000.0;
                self.net.set_link_fail_rate(a.as_str(), b.as_str(), rate);
            }
            Fault::Slow { latency, .. } => {
                self.slow.push(*latency);
                self.set_latencies();
            }
            Fault::SlowLink { a, b, latency, .. } => {
                self.slow_links
                    .entry(pair(a, b))
                    .or_default()
                    .push(*latency);
                self.set_latencies();
            }
            Fault::Skew {
                host,
                offset_ms,
                drift_ppm,
                ..
            } => {
                let now = self.net.elapsed();
                self.clock(host).set(now, *offset_ms, *drift_ppm);
            }
        }
    }

    /// Ends a fault.
    pub fn end(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { host, .. } => self.start(host),
            Fault::Cut { a, b, .. } => {
                self.heal(a, b);
                self.heal(b, a);
            }
            Fault::CutOneWay { from, to, .. } => self.heal(from, to),
            Fault::Loss { a, b, .. } => {
                self.net.set_link_fail_rate(a.as_str(), b.as_str(), 0.0);
                self.repair(a, b);
            }
            Fault::Slow { latency, .. } => {
                forget(&mut self.slow, latency);
                self.set_latencies();
            }
            Fault::SlowLink { a, b, latency, .. } => {
                forget(self.slow_links.entry(pair(a, b)).or_default(), latency);
                self.set_latencies();
            }
            Fault::Skew { host, .. } => {
                let now = self.net.elapsed();
                self.clock(host).set(now, 0, 0);
            }
        }
    }

    /// The end of all faults, whatever overlapped: everybody reaches everybody. Hosts that are down
    /// and clocks that are wrong are left to the ends of their own faults.
    pub fn calm(&mut self) {
        self.cuts.clear();
        self.slow.clear();
        self.slow_links.values_mut().for_each(Vec::clear);
        self.set_latencies();
        let hosts: Vec<String> = self.hosts.keys().cloned().collect();
        for (at, a) in hosts.iter().enumerate() {
            for b in &hosts[at + 1..] {
                self.net.set_link_fail_rate(a.as_str(), b.as_str(), 0.0);
                self.net.repair(a.as_str(), b.as_str());
            }
        }
    }

    /// Kills what runs on a host; one whose work is done, or that is down, is left alone.
    pub fn crash(&mut self, host: &str) {
        if self.net.is_host_running(host) && self.down.insert(host.to_owned()) {
            self.hosts[host].killed.notify_one();
            self.reviving.retain(|reviving| reviving != host);
            if !self.dying.iter().any(|dying| dying == host) {
                self.dying.push(host.to_owned());
            }
        }
    }

    /// Starts a host that is down.
    pub fn start(&mut self, host: &str) {
        if !self.down.remove(host) {
            return;
        }
        // A crash of this very moment comes first.
        match self.dying.iter().any(|dying| dying == host) {
            true => self.reviving.push(host.to_owned()),
            false => self.net.bounce(host),
        }
    }

    /// Cuts a host off from all others, until [`Sim::reconnect`].
    pub fn isolate(&mut self, host: &str) {
        for other in self.others(host) {
            self.cut(host, &other);
            self.cut(&other, host);
        }
    }

    /// Ends a [`Sim::isolate`].
    pub fn reconnect(&mut self, host: &str) {
        for other in self.others(host) {
            self.heal(host, &other);
            self.heal(&other, host);
        }
    }

    fn others(&self, host: &str) -> Vec<String> {
        let others = self.hosts.keys().filter(|other| *other != host);
        others.cloned().collect()
    }

    fn clock(&self, host: &str) -> &HostClock {
        let state = self.hosts.get(host);
        &state.unwrap_or_else(|| panic!("no host {host}")).clock
    }

    fn cut(&mut self, from: &str, to: &str) {
        *self
            .cuts
            .entry((from.to_owned(), to.to_owned()))
            .or_default() += 1;
        self.net.partition_oneway(from, to);
    }

    fn heal(&mut self, from: &str, to: &str) {
        let key = (from.to_owned(), to.to_owned());
        // After the calm nothing is cut any more.
        let Some(count) = self.cuts.get_mut(&key) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.cuts.remove(&key);
            self.net.repair_oneway(from, to);
        }
    }

    /// Mends what losses broke, and not what is cut.
    fn repair(&self, a: &str, b: &str) {
        for (from, to) in [(a, b), (b, a)] {
            if !self.cuts.contains_key(&(from.to_owned(), to.to_owned())) {
                self.net.repair_oneway(from, to);
            }
        }
    }

    /// A link that once had a latency of its own keeps one.
    fn set_latencies(&self) {
        let all = self.slow.iter().max().copied();
        let all = all.unwrap_or(self.settings.latency);
        self.net.set_max_message_latency(all);
        for ((a, b), own) in &self.slow_links {
            let own = own.iter().max().copied().unwrap_or(all).max(all);
            self.net
                .set_link_max_message_latency(a.as_str(), b.as_str(), own);
        }
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.min(b).to_owned(), a.max(b).to_owned())
}

fn forget(all: &mut Vec<Duration>, one: &Duration) {
    if let Some(at) = all.iter().position(|other| other == one) {
        all.remove(at);
    }
}
