//! The demo's data, and its question: who used the machine, and at which hours of the day?
//!
//! Owns the log (see `assets/README.md`), its shards, the reading of what the reduce task wrote, and
//! the direct computation that this is compared with. That one works in closed form, hour by hour,
//! where the tasks walk second by second: the two have no code in common.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// The log, in the Standard Workload Format.
const LOG: &[u8] = include_bytes!("../../assets/nasa-ipsc-1993-3.1-cln.swf.gz");
/// The log begins so many seconds after midnight.
const PAST_MIDNIGHT: u64 = 3;
const HOUR: u64 = 3600;

/// One user's use of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Jobs.
    pub(super) jobs: u64,
    /// Run time times nodes, in s.
    pub(super) node_seconds: u64,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Usage by user.
    pub(super) users: BTreeMap<u32, Usage>,
    /// Node-seconds by hour of the day.
    pub(super) hours: [u64; 24],
}

/// What of a job counts.
struct Job {
    start: u64,
    run: u64,
    nodes: u64,
    user: u32,
}

/// The log's lines without the header.
pub(super) fn lines() -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    GzDecoder::new(LOG)
        .read_to_string(&mut text)
        .context("the log in the program is damaged")?;
    let jobs = text
        .lines()
        .filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    Ok(jobs.map(str::to_owned).collect())
}

/// `lines` in `count` compressed files of nearly the same number of lines.
pub(super) fn shards(lines: &[String], count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let bounds = (0..=count)
        .map(|n| n * lines.len() / count)
        .collect::<Vec<_>>();
    let shards = bounds.windows(2).map(|bound| {
        let mut file = GzEncoder::new(Vec::new(), Compression::default());
        for line in &lines[bound[0]..bound[1]] {
            writeln!(file, "{line}")?;
        }
        Ok(file.finish()?)
    });
    shards.collect()
}

fn job(line: &str) -> anyhow::Result<Job> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let field = |n: usize| -> anyhow::Result<u64> {
        let text = fields
            .get(n - 1)
            .ok_or_else(|| anyhow!("no field {n} in {line:?}"))?;
        text.parse()
            .with_context(|| format!("field {n} of {line:?}"))
    };
    Ok(Job {
        start: field(2)?,
        run: field(4)?,
        nodes: field(5)?,
        user: u32::try_from(field(12)?)?,
    })
}

impl Answer {
    /// Computes the answer here and now.
    ///
    /// # Errors
    /// When a line is no job.
    pub(super) fn direct(lines: &[String]) -> anyhow::Result<Self> {
        let mut answer = Self::default();
        for line in lines {
            let job = job(line)?;
            let usage = answer.users.entry(job.user).or_default();
            usage.jobs += 1;
            usage.node_seconds += job.run * job.nodes;
            answer.spread(&job);
        }
        Ok(answer)
    }

    /// Adds a job to the hours that it ran in.
    fn spread(&mut self, job: &Job) {
        let (mut at, end) = (
            job.start + PAST_MIDNIGHT,
            job.start + PAST_MIDNIGHT + job.run,
        );
        while at < end {
            let until = end.min((at / HOUR + 1) * HOUR);
            self.hours[(at / HOUR % 24) as usize] += (until - at) * job.nodes;
            at = until;
        }
    }

    /// Reads what the reduce task wrote: `user ID JOBS NODE_SECONDS` and `hour H NODE_SECONDS`.
    ///
    /// # Errors
    /// The line that is none of these.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut answer = Self::default();
        for line in text.lines() {
            answer
                .read(line)
                .with_context(|| format!("the reduce task wrote {line:?}"))?;
        }
        Ok(answer)
    }

    fn read(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["user", user, jobs, node_seconds] => {
                let usage = Usage {
                    jobs: jobs.parse()?,
                    node_seconds: node_seconds.parse()?,
                };
                let before = self.users.insert(user.parse()?, usage);
                ensure!(before.is_none(), "a user twice");
            }
            ["hour", hour, node_seconds] => {
                let hour = self
                    .hours
                    .get_mut(hour.parse::<usize>()?)
                    .context("no such hour")?;
                *hour = node_seconds.parse()?;
            }
            _ => bail!("neither a user nor an hour"),
        }
        Ok(())
    }

    /// The users by node-seconds, most first.
    pub(super) fn top(&self) -> Vec<(u32, Usage)> {
        let mut users: Vec<_> = self
            .users
            .iter()
            .map(|(user, usage)| (*user, *usage))
            .collect();
        users.sort_by_key(|(user, usage)| (std::cmp::Reverse(usage.node_seconds), *user));
        users
    }

    /// All node-seconds.
    pub(super) fn node_seconds(&self) -> u64 {
        self.users.values().map(|usage| usage.node_seconds).sum()
    }

    /// Where the two differ, first user or hour first; none if they are equal.
    pub(super) fn difference(&self, other: &Answer) -> Option<String> {
        let users = self.users.keys().chain(other.users.keys());
        let user = users.min_by_key(|u| (self.users.get(u) == other.users.get(u), **u));
        if let Some(user) = user.filter(|u| self.users.get(u) != other.users.get(u)) {
            let (one, two) = (self.users.get(user), other.users.get(user));
            return Some(format!("user {user}: {one:?} and {two:?}"));
        }
        let hour = (0..24).find(|hour| self.hours[*hour] != other.hours[*hour])?;
        Some(format!(
            "hour {hour}: {} and {}",
            self.hours[hour], other.hours[hour]
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_whole_and_its_sums_agree() {
        let lines = lines().unwrap();
        assert_eq!(lines.len(), 18_239);
        let answer = Answer::direct(&lines).unwrap();
        assert_eq!(answer.users.len(), 69);
        assert_eq!(answer.node_seconds(), 474_238_015);
        assert_eq!(answer.hours.iter().sum::<u64>(), 474_238_015);
        let most = (
            4,
            Usage {
                jobs: 2625,
                node_seconds: 171_530_396,
            },
        );
        assert_eq!(answer.top()[0], most);
        // Counted second by second, by another program.
        assert_eq!((answer.hours[0], answer.hours[6]), (29_911_013, 9_303_099));
    }

    #[test]
    fn shards_hold_every_line_once() {
        let lines = lines().unwrap();
        let mut joined = String::new();
        for shard in shards(&lines, 24).unwrap() {
            GzDecoder::new(shard.as_slice())
                .read_to_string(&mut joined)
                .unwrap();
        }
        assert_eq!(joined.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn what_the_reduce_task_writes_is_read_and_compared() {
        let text = "user 4 2 100\nuser 1 1 7\nhour 0 60\nhour 23 47\n";
        let answer = Answer::parse(text).unwrap();
        assert_eq!(answer.top()[0].0, 4);
        assert_eq!((answer.hours[23], answer.node_seconds()), (47, 107));
        assert_eq!(answer.difference(&answer), None);
        let other = Answer::parse(&text.replace("47", "48")).unwrap();
        assert_eq!(answer.difference(&other).unwrap(), "hour 23: 47 and 48");
        let other = Answer::parse("user 4 2 100\n").unwrap();
        assert!(answer.difference(&other).unwrap().starts_with("user 1: "));
        for bad in [
            "user 4 2",
            "user x 1 1",
            "hour 24 1",
            "rubbish",
            "user 1 1 1\nuser 1 1 1",
        ] {
            assert!(Answer::parse(bad).is_err(), "{bad}");
        }
    }
}
