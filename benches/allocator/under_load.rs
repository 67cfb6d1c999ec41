//! A shard under load: four producers push bursts, readers look at snapshots, and each decision is timed from
//! the push of the event that asked for it to the end of the turn that made it.
//!
//! 100,000 agents, 10,000 frameworks, 100 roles at 90 % load. Each millisecond each producer ends 125 of its
//! oldest tasks and wants as many anew: a million events a second together. Wall time, with as many threads as
//! that on the cores that there are: what waits for a core counts.

use std::{
    collections::VecDeque,
    fs,
    hint::black_box,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use tepui_allocator::{
    Weight,
    engine::{Engine, Seat, Slot, Task},
    order::Rule,
    shard::{Board, Event, Outcome, Owner, Producer, Snapshot, ingest},
};

use super::{
    engine::{Shape, roles},
    figures::{quantile, record},
    workload::{LOAD, ROLES, Workload},
};

const AGENTS: usize = 100_000;
const FRAMEWORKS: usize = 10_000;
const PRODUCERS: usize = 4;
const READERS: usize = 2;
/// Tasks that each producer ends, and wants, in a burst.
const BURST: usize = 125;
const PAUSE: Duration = Duration::from_millis(1);
/// Seconds, each a round: the figure is the median of the rounds', so that one second in which the machine did
/// something else does not decide it.
const ROUNDS: u32 = 9;
const BURSTS: u32 = 1_000 * ROUNDS;
/// Events that may wait for the owner, of each producer.
const CAPACITY: usize = 4096;

/// A task, and whose it is.
type Running = (Slot<Task>, Slot<Seat>);

/// A task that was placed, and when.
type Placed = (Slot<Task>, Slot<Seat>, Instant);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark paces its load in real time"
)]
fn wait_until(then: Instant) {
    std::thread::sleep(then.saturating_duration_since(now()));
}

/// One thread that wants and ends tasks of its own frameworks.
struct Load {
    /// None when it is done.
    producer: Option<Producer<Event<4>>>,
    told: mpsc::Receiver<Vec<Placed>>,
    start: Instant,
    running: VecDeque<Running>,
    /// By number of the seat: when what is not yet placed was wanted.
    wanted: Vec<VecDeque<Instant>>,
    /// By round.
    took_ms: Vec<Vec<f64>>,
    /// By how much it was woken late for each burst: what the machine itself takes.
    late_ms: Vec<f64>,
}

impl Load {
    fn run(mut self) -> (Vec<Vec<f64>>, Vec<f64>) {
        for burst in 0..BURSTS {
            let due = self.start + burst * PAUSE;
            wait_until(due);
            self.late_ms.push(ms(now().saturating_duration_since(due)));
            while let Ok(placed) = self.told.try_recv() {
                self.note(placed);
            }
            for _ in 0..BURST {
                let Some((task, seat)) = self.running.pop_front() else {
                    break;
                };
                self.push(Event::End { task });
                self.wanted[seat.index()].push_back(now());
                self.push(Event::Want { seat, more: 1 });
            }
        }
        self.producer = None;
        while let Ok(placed) = self.told.recv() {
            self.note(placed);
        }
        (self.took_ms, self.late_ms)
    }

    fn push(&mut self, event: Event<4>) {
        let producer = self.producer.as_mut().expect("it is not done");
        producer.push(event).expect("the owner is there");
    }

    fn note(&mut self, placed: Vec<Placed>) {
        for (task, seat, when) in placed {
            self.running.push_back((task, seat));
            let wanted = self.wanted[seat.index()].pop_front();
            let wanted = wanted.expect("what is placed was wanted");
            let round = wanted.saturating_duration_since(self.start).as_secs();
            let round = (round as usize).min(self.took_ms.len() - 1);
            self.took_ms[round].push(ms(when.saturating_duration_since(wanted)));
        }
    }
}

/// An engine at the load, whose frameworks want no more than they have; and the tasks.
fn loaded(workload: &Workload) -> (Engine<4>, Vec<Running>) {
    let mut engine = Engine::new(Rule::Sum);
    let roles = roles(&mut engine, Shape::Flat);
    for _ in 0..workload.agents {
        let added = engine.add_agent(workload.capacity);
        added.expect("it can be counted");
    }
    let per_role = workload.demands.len() / ROLES;
    let each = workload.fill() / workload.demands.len();
    for (n, demand) in workload.demands.iter().enumerate() {
        let seat = engine
            .add_framework(roles[n / per_role], Weight::ONE, *demand)
            .expect("its role is there");
        engine.want(seat, each as u64);
    }
    let made = std::iter::from_fn(|| engine.decide()).map(|made| (made.task, made.seat));
    let made = made.collect();
    let (total, free) = engine.amounts();
    let used = 1.0 - free[1] as f64 / total[1] as f64;
    assert!((LOAD - 0.05..=LOAD + 0.05).contains(&used), "at {used}");
    (engine, made)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn resident_mib() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0.0) * 4096.0 / f64::from(1 << 20)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("Linux has this clock").into()
}

fn read(board: &Board<Snapshot<4>>, over: &AtomicBool, reads: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let seen = board.read();
        let running: u64 = seen.seats().map(|seat| u64::from(seat.running)).sum();
        assert_eq!(running, seen.running as u64, "a snapshot is of one moment");
        black_box(seen);
        reads.fetch_add(1, Ordering::Relaxed);
        wait_until(now() + PAUSE);
    }
}

/// What the owner's thread found out.
#[derive(Default)]
struct Owned {
    events: u64,
    placed: u64,
    /// Events of the largest turn.
    largest: usize,
    cpu: Duration,
}

pub(crate) fn all() {
    let workload = Workload::new(AGENTS, FRAMEWORKS);
    let (engine, made) = loaded(&workload);
    let before = made.len();
    let mut owner = Owner::new(engine);
    let board = owner.board();
    let (producers, intake) = ingest(PRODUCERS, CAPACITY);
    let (tell, told): (Vec<_>, Vec<_>) = (0..PRODUCERS).map(|_| mpsc::channel()).unzip();
    let (start, memory) = (now(), resident_mib());
    let mut loads: Vec<Load> = (producers.into_iter().zip(told))
        .map(|(producer, told)| Load {
            producer: Some(producer),
            told,
            running: VecDeque::new(),
            wanted: vec![VecDeque::new(); FRAMEWORKS],
            start,
            took_ms: vec![Vec::new(); ROUNDS as usize],
            late_ms: Vec::new(),
        })
        .collect();
    for (task, seat) in made {
        loads[seat.index() % PRODUCERS]
            .running
            .push_back((task, seat));
    }
    let (over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut owned = Owned::default();
    let (rounds, mut late): (Vec<Vec<f64>>, Vec<f64>) = std::thread::scope(|threads| {
        for _ in 0..READERS {
            threads.spawn(|| read(&board, &over, &reads));
        }
        let loads = loads
            .into_iter()
            .map(|load| threads.spawn(move || load.run()));
        let loads: Vec<_> = loads.collect();
        let (owned, board) = (&mut owned, &board);
        let owning = threads.spawn(move || {
            owner.run(intake, board, |events, outcomes| {
                hand_out(outcomes, &tell, owned);
                owned.events += events.len() as u64;
                owned.largest = owned.largest.max(events.len());
            });
            owned.cpu = thread_time();
            assert_eq!(owner.engine().running(), before, "what ended runs again");
        });
        let mut times = (vec![Vec::new(); ROUNDS as usize], Vec::new());
        for load in loads {
            let (took, late) = load.join().expect("it ends");
            for (all, took) in times.0.iter_mut().zip(took) {
                all.extend(took);
            }
            times.1.extend(late);
        }
        over.store(true, Ordering::Relaxed);
        owning.join().expect("it ends");
        times
    });
    let elapsed = start.elapsed();
    late.sort_by(f64::total_cmp);
    let timed: usize = rounds.iter().map(Vec::len).sum();
    assert_eq!(timed as u64, owned.placed, "each is timed");
    report(&owned, rounds, &late, elapsed, reads.into_inner());
    let most = PRODUCERS * CAPACITY;
    record(
        "allocator/under-load/memory-growth",
        resident_mib() - memory,
        "MiB",
        &format!("times of {timed} decisions among it; at most {most} events wait"),
    );
}

fn hand_out(outcomes: &[Outcome], tell: &[mpsc::Sender<Vec<Placed>>], owned: &mut Owned) {
    let when = now();
    let mut placed = vec![Vec::new(); PRODUCERS];
    for outcome in outcomes {
        if let Outcome::Decided(made) = outcome {
            placed[made.seat.index() % PRODUCERS].push((made.task, made.seat, when));
            owned.placed += 1;
        }
    }
    for (tell, placed) in tell.iter().zip(placed) {
        if !placed.is_empty() {
            tell.send(placed).expect("the producer is there");
        }
    }
}

fn report(
    owned: &Owned,
    mut rounds: Vec<Vec<f64>>,
    late_ms: &[f64],
    elapsed: Duration,
    reads: u64,
) {
    let events = owned.events as f64;
    let pushed = f64::from(BURSTS) * (2 * BURST * PRODUCERS) as f64;
    let seconds = elapsed.as_secs_f64();
    let baseline = format!(
        "{PRODUCERS} producers, {:.0} snapshots/s read, {AGENTS} agents, {FRAMEWORKS} frameworks",
        reads as f64 / seconds,
    );
    let name = "allocator/under-load";
    record(
        &format!("{name}/rate"),
        events / seconds,
        "events/s",
        &baseline,
    );
    record(
        &format!("{name}/lost"),
        pushed - events,
        "events",
        &format!("of {pushed:.0}"),
    );
    rounds
        .iter_mut()
        .for_each(|round| round.sort_by(f64::total_cmp));
    let of_rounds = |part| {
        let mut parts: Vec<f64> = rounds.iter().map(|round| quantile(round, part)).collect();
        parts.sort_by(f64::total_cmp);
        parts
    };
    let (half, slow, slowest) = (of_rounds(0.5), of_rounds(0.99), of_rounds(0.999));
    let middle = ROUNDS as usize / 2;
    let baseline = format!(
        "of {ROUNDS} seconds; {:.2} to {:.2} ms; median {:.2} ms, p99 {:.2} ms; sleeping threads woken late: p99.9 {:.2} ms",
        slowest[0],
        slowest[ROUNDS as usize - 1],
        half[middle],
        slow[middle],
        quantile(late_ms, 0.999),
    );
    record(&format!("{name}/p99.9"), slowest[middle], "ms", &baseline);
    let cpu = owned.cpu.as_nanos() as f64 / events;
    let baseline = format!("largest turn {} events", owned.largest);
    record(&format!("{name}/owner-cpu"), cpu, "ns/event", &baseline);
}
