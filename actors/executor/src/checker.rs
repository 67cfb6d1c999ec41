//! One check of one task, from its start to its end. No I/O, no clock of its own.
//!
//! ```text
//!  WAITING --delay, later interval over--> PROBING --result--> WAITING
//!     result: success    failures = 0, healthy
//!             failure    in the grace period before the first success: nothing
//!                        else failures + 1, unhealthy; at the limit: end the task
//! ```
//! A plain check has neither failures nor health; its latest status is news when it changes.

use std::time::Duration;

use tepui_protocol::{
    Timestamp,
    lifecycle::{CheckInfo, CheckStatus, HealthCheck, Probe},
};

/// What a look at a task gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The command ended; without a status if a signal ended it.
    Exited(Option<i32>),
    /// The server answered with this status.
    Answered(u16),
    /// The connection was accepted, or refused.
    Connected(bool),
    /// The command was killed, as it is when its container ends: that says nothing of the task.
    Killed,
    /// It took too long.
    TimedOut,
    /// It could not be done, or got no answer that could be read.
    Failed(String),
}

impl ProbeResult {
    fn is_success(&self) -> bool {
        match self {
            ProbeResult::Exited(code) => *code == Some(0),
            ProbeResult::Answered(status) => (200..400).contains(status),
            ProbeResult::Connected(accepted) => *accepted,
            ProbeResult::Killed | ProbeResult::TimedOut | ProbeResult::Failed(_) => false,
        }
    }

    /// For people.
    fn text(&self, timeout: Duration) -> String {
        match self {
            ProbeResult::Exited(Some(code)) => format!("the command exited with status {code}"),
            ProbeResult::Exited(None) => "the command was ended by a signal".to_owned(),
            ProbeResult::Killed => "the command was killed".to_owned(),
            ProbeResult::Answered(status) => format!("the answer had status {status}"),
            ProbeResult::Connected(true) => "the connection was accepted".to_owned(),
            ProbeResult::Connected(false) => "the connection was refused".to_owned(),
            ProbeResult::TimedOut => format!("it took longer than {timeout:?}"),
            ProbeResult::Failed(problem) => problem.clone(),
        }
    }
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing that anybody is told.
    None,
    /// Health or status have changed.
    Changed,
    /// The task is to be ended, with this text for people.
    Unhealthy(String),
}

/// A check that goes on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checker {
    info: CheckInfo,
    /// Failures in a row that end the task, and the grace period; absent for a plain check.
    health: Option<(u32, Duration)>,
    started: Timestamp,
    /// Counts looks; what belongs to an earlier one is out of date.
    round: u32,
    failures: u32,
    healthy: Option<bool>,
    status: Option<CheckStatus>,
}

impl Checker {
    /// A health check of a task that started `now`.
    pub(crate) fn health(check: &HealthCheck, now: Timestamp) -> Self {
        let health = Some((check.failures.max(1), check.grace_period));
        Self {
            health,
            ..Self::plain(&check.check, now)
        }
    }

    /// A plain check of a task that started `now`.
    pub(crate) fn plain(info: &CheckInfo, now: Timestamp) -> Self {
        Self {
            info: info.clone(),
            health: None,
            started: now,
            round: 0,
            failures: 0,
            healthy: None,
            status: None,
        }
    }

    /// The round to begin, and after what time.
    pub(crate) fn next(&self) -> (u32, Duration) {
        let after = match self.round {
            0 => self.info.delay,
            _ => self.info.interval,
        };
        (self.round + 1, after)
    }

    /// The time for round `round` has come: what is to be done, unless that is out of date.
    pub(crate) fn begin(&mut self, round: u32) -> Option<(Probe, Duration)> {
        (round == self.round + 1).then(|| {
            self.round = round;
            (self.info.probe.clone(), self.info.timeout)
        })
    }

    /// Round `round` gave `result`; none if that is out of date.
    pub(crate) fn end(&mut self, now: Timestamp, round: u32, result: &ProbeResult) -> Option<News> {
        if round != self.round {
            return None;
        }
        if *result == ProbeResult::Killed {
            return Some(News::None);
        }
        Some(match self.health {
            Some((failures, grace)) => self.judge(now, result, failures, grace),
            None => self.note(result),
        })
    }

    fn judge(&mut self, now: Timestamp, result: &ProbeResult, limit: u32, grace: Duration) -> News {
        let before = self.healthy;
        if result.is_success() {
            (self.failures, self.healthy) = (0, Some(true));
        } else if self.healthy.is_none() && now.since(self.started) <= grace {
            return News::None;
        } else {
            (self.failures, self.healthy) = (self.failures + 1, Some(false));
        }
        if self.failures >= limit {
            let times = if limit == 1 {
                "once"
            } else {
                &format!("{limit} times in a row")
            };
            let text = result.text(self.info.timeout);
            return News::Unhealthy(format!("health check failed {times}: {text}"));
        }
        match before == self.healthy {
            true => News::None,
            false => News::Changed,
        }
    }

    fn note(&mut self, result: &ProbeResult) -> News {
        let status = match &self.info.probe {
            Probe::Command(_) => CheckStatus::Command {
                exit_code: match result {
                    ProbeResult::Exited(code) => *code,
                    _ => None,
                },
            },
            Probe::Http { .. } => CheckStatus::Http {
                status_code: match result {
                    ProbeResult::Answered(status) => Some(*status),
                    _ => None,
                },
            },
            Probe::Tcp { .. } => CheckStatus::Tcp {
                succeeded: match result {
                    ProbeResult::Connected(accepted) => Some(*accepted),
                    _ => None,
                },
            },
        };
        match self.status.replace(status) == Some(status) {
            true => News::None,
            false => News::Changed,
        }
    }

    /// Whether the task is healthy; absent before that is known, and for a plain check.
    pub(crate) fn is_healthy(&self) -> Option<bool> {
        self.healthy
    }

    /// The latest status of a plain check.
    pub(crate) fn status(&self) -> Option<CheckStatus> {
        self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(100);

    fn health(failures: u32, grace_s: u64) -> Checker {
        let check = HealthCheck {
            failures,
            grace_period: Duration::from_secs(grace_s),
            ..HealthCheck::new(Probe::Tcp { port: 1 })
        };
        Checker::health(&check, START)
    }

    /// Looks at these seconds after the start, with these results; what follows from each.
    fn run(checker: &mut Checker, looks: &[(u64, bool)]) -> Vec<char> {
        let mut news = Vec::new();
        for (second, is_up) in looks {
            let (round, _) = checker.next();
            checker.begin(round).expect("the round that comes next");
            let now = Timestamp::from_secs(100 + second);
            let result = ProbeResult::Connected(*is_up);
            news.push(
                match checker.end(now, round, &result).expect("this round") {
                    News::None => '.',
                    News::Changed => {
                        if checker.is_healthy() == Some(true) {
                            'h'
                        } else {
                            'u'
                        }
                    }
                    News::Unhealthy(_) => 'X',
                },
            );
        }
        news
    }

    #[test]
    fn health_by_table() {
        // failures, grace in s, (second, up)..., news: h(ealthy), u(nhealthy), X ends the task
        type Looks = &'static [(u64, bool)];
        let table: [(u32, u64, Looks, &str); 8] = [
            (3, 10, &[(15, true), (25, true)], "h."),
            (3, 10, &[(15, false), (25, false), (35, false)], "u.X"),
            (
                3,
                10,
                &[
                    (15, false),
                    (25, false),
                    (35, true),
                    (45, false),
                    (55, false),
                    (65, false),
                ],
                "u.hu.X",
            ),
            // In the grace period failures do not count,
            (1, 10, &[(1, false), (10, false), (11, false)], "..X"),
            // but after the first success they do.
            (
                2,
                10,
                &[(1, false), (2, true), (3, false), (4, false)],
                ".huX",
            ),
            (1, 0, &[(0, false)], "."),
            (1, 0, &[(1, false)], "X"),
            (2, 0, &[(1, false), (2, true), (3, false)], "uhu"),
        ];
        for (failures, grace, looks, expected) in table {
            let news: String = run(&mut health(failures, grace), looks)
                .into_iter()
                .collect();
            assert_eq!(news, expected, "{failures} {grace} {looks:?}");
        }
    }

    #[test]
    fn the_first_look_is_after_the_delay_and_the_others_at_intervals() {
        let mut checker = health(3, 10);
        assert_eq!(checker.next(), (1, Duration::from_secs(15)));
        assert_eq!(
            checker.begin(1),
            Some((Probe::Tcp { port: 1 }, Duration::from_secs(20)))
        );
        assert_eq!(checker.next(), (2, Duration::from_secs(10)));
        assert_eq!(checker.begin(1), None, "a timer of before");
        assert_eq!(
            checker.end(START, 7, &ProbeResult::TimedOut),
            None,
            "a result of before"
        );
    }

    #[test]
    fn what_counts_as_success() {
        for (result, expected) in [
            (ProbeResult::Exited(Some(0)), true),
            (ProbeResult::Exited(Some(1)), false),
            (ProbeResult::Exited(None), false),
            (ProbeResult::Answered(199), false),
            (ProbeResult::Answered(200), true),
            (ProbeResult::Answered(399), true),
            (ProbeResult::Answered(400), false),
            (ProbeResult::Connected(false), false),
            (ProbeResult::Killed, false),
            (ProbeResult::TimedOut, false),
            (ProbeResult::Failed(String::new()), false),
        ] {
            assert_eq!(result.is_success(), expected, "{result:?}");
        }
    }

    #[test]
    fn a_check_that_ends_with_its_container_says_nothing() {
        let mut checker = health(1, 0);
        checker.begin(1);
        let news = checker.end(Timestamp::from_secs(200), 1, &ProbeResult::Killed);
        assert_eq!((news, checker.is_healthy()), (Some(News::None), None));
    }

    #[test]
    fn the_end_says_how_often_and_why() {
        let mut checker = health(2, 0);
        for round in [1, 2] {
            checker.begin(round);
            let news = checker.end(Timestamp::from_secs(200), round, &ProbeResult::TimedOut);
            let text = "health check failed 2 times in a row: it took longer than 20s".to_owned();
            let expected = if round == 1 {
                News::Changed
            } else {
                News::Unhealthy(text)
            };
            assert_eq!(news, Some(expected));
        }
    }

    #[test]
    fn a_plain_check_reports_each_change_and_ends_nothing() {
        let mut checker = Checker::plain(
            &CheckInfo::new(Probe::Http {
                port: 1,
                path: String::new(),
            }),
            START,
        );
        let mut look = |result: ProbeResult| {
            let (round, _) = checker.next();
            checker.begin(round);
            let news = checker.end(START, round, &result).expect("this round");
            (news, checker.status())
        };
        let status = |status_code| Some(CheckStatus::Http { status_code });
        assert_eq!(
            look(ProbeResult::Answered(500)),
            (News::Changed, status(Some(500)))
        );
        assert_eq!(
            look(ProbeResult::Answered(500)),
            (News::None, status(Some(500)))
        );
        assert_eq!(look(ProbeResult::TimedOut), (News::Changed, status(None)));
        assert_eq!(
            look(ProbeResult::Failed("x".to_owned())),
            (News::None, status(None))
        );
        assert_eq!(
            look(ProbeResult::Answered(200)),
            (News::Changed, status(Some(200)))
        );
    }
}
