//! The demo's screen: bars on a terminal, now and then a line elsewhere.
//!
//! What lasts goes to stdout, what moves to stderr.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    BACKGROUND, ROLES, chart,
    jobs::{self, SHARDS},
    record::Record,
    view::{AgentView, View},
};
use crate::output;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// A line with nothing on it; an empty template would not be drawn.
const GAP: &str = " ";
/// How much of the history of shares fits on a line.
const HISTORY: usize = 40;

/// Each role's dominant share, sample by sample.
pub(super) type History = BTreeMap<&'static str, Vec<f64>>;

/// Shows how the demo comes along.
pub(super) enum Display {
    /// On a terminal.
    Bars(Box<Bars>),
    /// Elsewhere.
    Lines {
        /// When the last line was written.
        last: Option<Duration>,
    },
}

/// Lines that are drawn over again.
pub(super) struct Bars {
    multi: MultiProgress,
    map: ProgressBar,
    reduce: ProgressBar,
    stream: ProgressBar,
    agents: Vec<ProgressBar>,
    roles: Vec<ProgressBar>,
    /// Kept, for a bar that is dropped disappears.
    _gaps: Vec<ProgressBar>,
}

impl Display {
    /// For this process's stderr.
    pub(super) fn new(agents: usize) -> Self {
        match std::io::stderr().is_terminal() {
            true => Display::Bars(Box::new(Bars::new(agents))),
            false => Display::Lines { last: None },
        }
    }

    /// Writes a line that stays.
    ///
    /// # Errors
    /// When stdout is closed.
    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Display::Bars(bars) => bars.multi.suspend(|| output::print(text)),
            Display::Lines { .. } => output::print(text),
        }
    }

    /// Shows the cluster as it is now.
    pub(super) fn update(&mut self, at: Duration, view: &View, record: &Record, history: &History) {
        match self {
            Display::Bars(bars) => bars.update(view, record, history),
            Display::Lines { last } if last.is_none_or(|last| at - last >= LINE_EVERY) => {
                *last = Some(at);
                output::note(&line(at, view, record));
            }
            Display::Lines { .. } => {}
        }
    }

    /// Takes away what moves.
    pub(super) fn clear(&self) {
        if let Display::Bars(bars) = self {
            // A terminal that is gone needs no tidying.
            let _ = bars.multi.clear();
        }
    }
}

/// All in one line.
fn line(at: Duration, view: &View, record: &Record) -> String {
    let (map, reduce) = (
        record.count(jobs::MAP, None),
        record.count(jobs::REDUCE, None),
    );
    let stream = record.count(jobs::STREAM, None);
    let agents = view
        .agents
        .iter()
        .map(|agent| format!("{}/{}", agent.used, agent.cpus));
    let shares = ROLES.map(|(role, _)| format!("{role} {:.0}%", view.share(role) * 100.0));
    format!(
        "{:5.1} s  map {}/{SHARDS}  reduce {}/1  background {}  cpus {}  shares {}",
        at.as_secs_f64(),
        map.finished,
        reduce.finished,
        stream.finished,
        agents.collect::<Vec<_>>().join(" "),
        shares.join(", "),
    )
}

impl Bars {
    fn new(agents: usize) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let bar = |name: &'static str, length: usize| {
            let template = "  {prefix:11.bold} {bar:30.green/dim}  {pos:>2}/{len:2} {msg:.dim}";
            let bar = ProgressBar::new(length as u64).with_prefix(name);
            multi.add(bar.with_style(style(template).progress_chars("━━─")))
        };
        let text = |name: &'static str, template: &str| {
            multi.add(
                ProgressBar::new(0)
                    .with_prefix(name)
                    .with_style(style(template)),
            )
        };
        let gap = || {
            let gap = text("", GAP);
            gap.tick();
            gap
        };
        let mut gaps = vec![gap()];
        let (map, reduce) = (bar(jobs::MAP, SHARDS), bar(jobs::REDUCE, 1));
        let stream = text(BACKGROUND, "  {prefix:11.bold} {msg}");
        gaps.push(gap());
        let agents = (0..agents)
            .map(|_| text("", "  {prefix:11.bold} {msg}"))
            .collect();
        gaps.push(gap());
        let colours = [
            "  {prefix:11.bold} {msg:.cyan}",
            "  {prefix:11.bold} {msg:.yellow}",
        ];
        let roles = ROLES.iter().zip(colours);
        let roles = roles
            .map(|((role, _), template)| text(role, template))
            .collect();
        Self {
            map,
            reduce,
            stream,
            agents,
            roles,
            multi,
            _gaps: gaps,
        }
    }

    fn update(&self, view: &View, record: &Record, history: &History) {
        for (bar, group) in [(&self.map, jobs::MAP), (&self.reduce, jobs::REDUCE)] {
            let count = record.count(group, None);
            bar.set_position(count.finished as u64);
            bar.set_message(running(count.live, count.lost));
        }
        let stream = record.count(jobs::STREAM, None);
        let state = running(stream.live, stream.lost);
        self.stream.set_message(format!(
            "{:<30}  {state}",
            format!("{} finished", stream.finished)
        ));
        for (bar, agent) in self.agents.iter().zip(&view.agents) {
            bar.set_prefix(agent.name.clone());
            bar.set_message(agent_line(agent, record));
        }
        for (bar, (role, weight)) in self.roles.iter().zip(ROLES) {
            let samples = history.get(role).map_or(&[][..], Vec::as_slice);
            let recent = &samples[samples.len().saturating_sub(HISTORY)..];
            let chart = chart::sparkline(recent, 1.0);
            let share = view.share(role) * 100.0;
            bar.set_message(format!("weight {weight}  {share:3.0}%  {chart}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a valid template")
}

fn running(live: usize, lost: usize) -> String {
    match lost {
        0 => format!("{live} running"),
        lost => format!("{live} running, {lost} lost and run again"),
    }
}

fn agent_line(agent: &AgentView, record: &Record) -> String {
    let meter = chart::meter(agent.used.as_f64(), agent.cpus.as_f64());
    let live = |group| agent.count(record, group).live;
    let state = if agent.connected { "" } else { "  away" };
    format!(
        "{meter} {:>4}/{} cpus   {} analytics, {} background{state}",
        agent.used.to_string(),
        agent.cpus,
        live(jobs::MAP) + live(jobs::REDUCE),
        live(jobs::STREAM),
    )
}
