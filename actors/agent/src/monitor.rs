//! What an agent's containers use, over HTTP: `GET /containers` and `GET /monitor/statistics` of the
//! agent's node, in the JSON of Mesos's agents as far as there are counts for it.
//!
//! Two actors, as the first part of a path names an actor; both ask the agent.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tepui_protocol::messages::operator::{GetUsage, RunUsage};
use tepui_runtime::{
    http::{HttpError, Json, StatusCode},
    prelude::*,
};

use crate::AgentActor;

/// The name of the actor for `/containers`.
pub const CONTAINERS: &str = "containers";
/// The name of the actor for `/monitor/statistics`.
pub const MONITOR: &str = "monitor";

/// Counting takes milliseconds; an agent that is busy for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers `/containers`.
#[derive(Debug, Actor)]
pub struct Containers(
    /// The agent that is asked.
    pub Pid<AgentActor>,
);

/// Answers `/monitor/statistics`.
#[derive(Debug, Actor)]
pub struct Monitor(
    /// The agent that is asked.
    pub Pid<AgentActor>,
);

#[handlers]
impl Containers {
    /// The containers of live tasks: whose they are, what they use, and their processes.
    #[route(GET, "/")]
    async fn containers(&mut self) -> Result<Json<Value>, HttpError> {
        let usages = ask(&self.0).await?;
        Ok(Json(usages.iter().map(container).collect()))
    }
}

#[handlers]
impl Monitor {
    /// What the containers of live tasks use.
    #[route(GET, "/statistics")]
    async fn statistics(&mut self) -> Result<Json<Value>, HttpError> {
        let usages = ask(&self.0).await?;
        let all = usages.iter().map(|usage| Value::Object(about(usage)));
        Ok(Json(all.collect()))
    }
}

async fn ask(agent: &Pid<AgentActor>) -> Result<Vec<RunUsage>, HttpError> {
    let answer = agent.ask(GetUsage {}, PATIENCE).await;
    answer.map_err(|error| HttpError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

//= mesos, agent /containers: an entry with the container's id and status
fn container(usage: &RunUsage) -> Value {
    let id = json!({ "value": usage.container_id });
    let mut entry = about(usage);
    entry.insert("container_id".to_owned(), json!(usage.container_id));
    let mut status = json!({ "container_id": id });
    if let Some(pid) = usage.os_pid {
        status["executor_pid"] = json!(pid);
    }
    entry.insert("status".to_owned(), status);
    Value::Object(entry)
}

//= mesos, agent /monitor/statistics
fn about(usage: &RunUsage) -> Map<String, Value> {
    let entry = json!({
        "executor_id": usage.executor_id,
        "executor_name": usage.executor_name,
        "framework_id": usage.framework_id,
        "source": usage.executor_id,
        "statistics": statistics(usage),
    });
    match entry {
        Value::Object(entry) => entry,
        _ => Map::new(),
    }
}

/// What is not counted is left out.
fn statistics(of: &RunUsage) -> Value {
    let usage = &of.usage;
    let seconds = |us: Option<u64>| us.map(|us| us as f64 / 1e6);
    let counts = [
        ("timestamp", Some(json!(of.timestamp.0 as f64 / 1e6))),
        ("cpus_limit", Some(json!(of.resources.cpus()))),
        (
            "cpus_user_time_secs",
            seconds(usage.cpu_user_us).map(Value::from),
        ),
        (
            "cpus_system_time_secs",
            seconds(usage.cpu_system_us).map(Value::from),
        ),
        (
            "cpus_throttled_time_secs",
            seconds(usage.throttled_us).map(Value::from),
        ),
        ("mem_limit_bytes", usage.memory_limit.map(Value::from)),
        ("mem_total_bytes", usage.memory.map(Value::from)),
        ("mem_rss_bytes", usage.memory_anonymous.map(Value::from)),
        ("mem_cache_bytes", usage.memory_cache.map(Value::from)),
        ("mem_max_usage_bytes", usage.memory_peak.map(Value::from)),
        ("threads", usage.pids.map(Value::from)),
        ("disk_used_bytes", usage.disk.map(Value::from)),
    ];
    let there = counts
        .into_iter()
        .filter_map(|(name, count)| Some((name.to_owned(), count?)));
    Value::Object(there.collect())
}

#[cfg(test)]
mod tests {
    use tepui_protocol::{Timestamp, Usage};

    use super::*;

    #[test]
    fn entries_have_mesos_shape_and_no_counts_that_nobody_has() {
        let usage = RunUsage {
            framework_id: "f".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            executor_name: "name".to_owned(),
            container_id: "run1".to_owned(),
            os_pid: Some(7),
            tasks: vec!["t".parse().unwrap()],
            resources: "cpus:0.5;mem:64".parse().unwrap(),
            gpus: Vec::new(),
            timestamp: Timestamp(1_500_000),
            usage: Usage {
                cpu_user_us: Some(250_000),
                memory: Some(4096),
                ..Usage::default()
            },
        };
        let expected = json!({
            "container_id": "run1",
            "executor_id": "e",
            "executor_name": "name",
            "framework_id": "f",
            "source": "e",
            "statistics": {
                "timestamp": 1.5,
                "cpus_limit": 0.5,
                "cpus_user_time_secs": 0.25,
                "mem_total_bytes": 4096,
            },
            "status": { "container_id": { "value": "run1" }, "executor_pid": 7 },
        });
        assert_eq!(container(&usage), expected);
    }
}
