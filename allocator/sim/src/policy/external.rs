//! A policy in a process of its own, in any language: newline JSON over its stdin and stdout.
//!
//! ```text
//!   -> {"hello":1,"nodes":[{"name":"n0-0","cpus":1,"mem_mib":0,"gpus":0,"disk_mib":0}],"roles":[{"name":"user-1","weight":1}]}
//!   <- {"hello":1}
//!   -> {"now_s":0,"events":[{"submitted":{"job":0,"name":"1","role":"user-1","tasks":2,"cpus":1,...,"estimate_s":1451}}]}
//!   <- {"start":[0,{"job":3,"on":[["n0-0",2]]}],"wake_s":60}
//! ```
//! Other events are `{"ended":JOB}`, `{"node_down":NAME}`, `{"node_up":NAME}`, `{"woke":true}` and `{"no_room":JOB}` for a start of the last answer for
//! which there was no room. A job without `on` goes where `--placement` finds room. An answer that takes longer than the time-out, is too long or not understood ends the run.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Event, Policy, PolicyError, Stage};
use crate::{
    amounts::{Amounts, CPUS, DISK, GPUS, MEM},
    cluster::NodeId,
    time::Time,
    trace::JobId,
    world::World,
};

/// The longest answer, in bytes.
const ANSWER_MAX: u64 = 16 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    start: Vec<Start>,
    #[serde(default)]
    wake_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Start {
    Anywhere(u32),
    On { job: u32, on: Vec<(String, u32)> },
}

/// A process that decides.
#[derive(Debug)]
pub struct External {
    name: String,
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Result<String, String>>,
    timeout: Duration,
    nodes: HashMap<String, NodeId>,
    events: Vec<Value>,
}

impl External {
    /// Starts `command` with a shell, and greets it.
    ///
    /// # Errors
    /// It cannot be started or does not greet.
    pub fn new(command: &str, world: &World, timeout: Duration) -> Result<Self, PolicyError> {
        let failed = |what: String| PolicyError {
            policy: command.to_owned(),
            what,
        };
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, answers) = sync_channel(1);
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                let read = (&mut lines).take(ANSWER_MAX).read_line(&mut line);
                let answer = match read {
                    Ok(0) => Err("it has ended".to_owned()),
                    Ok(_) if !line.ends_with('\n') => Err(format!(
                        "an answer of more than {ANSWER_MAX} bytes, or without a line break"
                    )),
                    Ok(_) => Ok(line),
                    Err(error) => Err(error.to_string()),
                };
                let is_over = answer.is_err();
                if sender.send(answer).is_err() || is_over {
                    return;
                }
            }
        });
        let cluster = world.cluster();
        let nodes = (0..cluster.len() as u32)
            .map(NodeId)
            .map(|node| (cluster.name(node), node))
            .collect();
        let mut policy = Self {
            name: command.to_owned(),
            child,
            stdin,
            answers,
            timeout,
            nodes,
            events: Vec::new(),
        };
        let answer = policy.ask(&hello(world))?;
        match serde_json::from_str::<Value>(&answer) {
            Ok(value) if value["hello"] == 1 => Ok(policy),
            _ => Err(policy.failed(format!(
                "answered {:?} to a hello; must be {{\"hello\":1}}",
                short(&answer)
            ))),
        }
    }

    fn failed(&self, what: String) -> PolicyError {
        PolicyError {
            policy: self.name.clone(),
            what,
        }
    }

    fn ask(&mut self, question: &Value) -> Result<String, PolicyError> {
        let written = writeln!(self.stdin, "{question}").and_then(|()| self.stdin.flush());
        written.map_err(|error| self.failed(format!("cannot be asked: {error}")))?;
        match self.answers.recv_timeout(self.timeout) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(what)) => Err(self.failed(what)),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.failed(format!("no answer within {} s", self.timeout.as_secs_f64())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("it has ended".to_owned())),
        }
    }

    /// Does what an answer says.
    fn obey(&mut self, stage: &mut Stage<'_>, answer: Answer) -> Result<(), PolicyError> {
        for start in answer.start {
            let (number, on) = match start {
                Start::Anywhere(job) => (job, None),
                Start::On { job, on } => (job, Some(on)),
            };
            let job = JobId(number);
            if job.at() >= stage.world().workload().jobs.len() {
                return Err(self.failed(format!("there is no job {number}")));
            }
            let started = match on {
                None => stage.start(job),
                Some(on) => {
                    let known = |(name, tasks): (String, u32)| match self.nodes.get(&name) {
                        Some(node) => Ok((*node, tasks)),
                        None => Err(self.failed(format!("there is no node {name:?}"))),
                    };
                    let pieces = on.into_iter().map(known).collect::<Result<Vec<_>, _>>()?;
                    stage.start_on(job, &pieces).is_ok()
                }
            };
            if !started {
                self.events.push(json!({"no_room": number}));
            }
        }
        if let Some(seconds) = answer.wake_s {
            let time = Time::from_secs_f64(seconds)
                .ok_or_else(|| self.failed(format!("wake_s {seconds}: no time")))?;
            stage.wake_at(time);
        }
        Ok(())
    }
}

impl Policy for External {
    fn on_event(&mut self, world: &World, event: Event) {
        self.events.push(match event {
            Event::Submitted(id) => {
                let job = world.job(id);
                let mut told = amounts(world.cluster().ask(job).demand);
                told["job"] = json!(id.0);
                told["name"] = json!(world.workload().names[id.at()].to_string());
                told["role"] = json!(world.workload().roles.name(job.role).as_str());
                told["tasks"] = json!(job.tasks);
                told["estimate_s"] = json!(job.estimate.as_secs_f64());
                json!({ "submitted": told })
            }
            Event::Ended(job) => json!({"ended": job.0}),
            Event::NodeDown(node) => json!({"node_down": world.cluster().name(node)}),
            Event::NodeUp(node) => json!({"node_up": world.cluster().name(node)}),
            Event::Woke => json!({"woke": true}),
        });
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let events = std::mem::take(&mut self.events);
        let text = self.ask(&json!({"now_s": stage.now().as_secs_f64(), "events": events}))?;
        let answer = serde_json::from_str::<Answer>(&text);
        let answer =
            answer.map_err(|error| self.failed(format!("answered {:?}: {error}", short(&text))))?;
        self.obey(stage, answer)
    }
}

impl Drop for External {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hello(world: &World) -> Value {
    let cluster = world.cluster();
    let node = |node: NodeId| {
        let mut told = amounts(cluster.total(node));
        told["name"] = json!(cluster.name(node));
        told
    };
    let roles = &world.workload().roles;
    let role = |role: u32| json!({"name": roles.name(role).as_str(), "weight": roles.weight(role)});
    json!({
        "hello": 1,
        "nodes": (0..cluster.len() as u32).map(NodeId).map(node).collect::<Vec<_>>(),
        "roles": (0..roles.len() as u32).map(role).collect::<Vec<_>>(),
    })
}

fn amounts(amounts: Amounts) -> Value {
    let lanes = amounts.lanes();
    json!({
        "cpus": f64::from(lanes[CPUS]) / 1000.0,
        "mem_mib": lanes[MEM],
        "gpus": f64::from(lanes[GPUS]) / 1000.0,
        "disk_mib": lanes[DISK],
    })
}

fn short(text: &str) -> String {
    text.trim_end().chars().take(80).collect()
}
