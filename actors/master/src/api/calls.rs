//! The forms of the calls in JSON.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tepui_protocol::{
    AgentId, Resources,
    maintenance::json::{MachineId, Nanoseconds, ScheduleJson},
    messages::operator::{
        DrainAgent, ReactivateAgent, ReserveResources, StartMaintenance, StopMaintenance,
        UnreserveResources, UpdateMaintenanceSchedule,
    },
};

/// What is wanted.
#[derive(Debug, PartialEq)]
pub(super) enum Call {
    Schedule,
    Status,
    Command(Command),
}

/// Something to change.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Schedule(UpdateMaintenanceSchedule),
    Start(StartMaintenance),
    Stop(StopMaintenance),
    Reserve(ReserveResources),
    Unreserve(UnreserveResources),
    Drain(DrainAgent),
    Reactivate(ReactivateAgent),
}

#[derive(Deserialize)]
struct Schedule {
    schedule: ScheduleJson,
}

#[derive(Deserialize)]
struct Machines {
    machines: Vec<MachineId>,
}

#[derive(Deserialize)]
struct Id {
    value: AgentId,
}

#[derive(Deserialize)]
struct Reservation {
    agent_id: Id,
    resources: Value,
    source: Option<Value>,
}

#[derive(Deserialize)]
struct Agent {
    agent_id: Id,
    max_grace_period: Option<Nanoseconds>,
}

/// Reads a call.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(body: &Value) -> Result<Call, String> {
    let kind = body.get("type").and_then(Value::as_str);
    let kind = kind.ok_or("a call has a \"type\", such as \"GET_MAINTENANCE_SCHEDULE\"")?;
    Ok(Call::Command(match kind {
        "GET_MAINTENANCE_SCHEDULE" => return Ok(Call::Schedule),
        "GET_MAINTENANCE_STATUS" => return Ok(Call::Status),
        "UPDATE_MAINTENANCE_SCHEDULE" => {
            let Schedule { schedule } = part(body, kind)?;
            let schedule = schedule.into();
            Command::Schedule(UpdateMaintenanceSchedule { schedule })
        }
        "START_MAINTENANCE" => {
            let machines = machines(body, kind)?;
            Command::Start(StartMaintenance { machines })
        }
        "STOP_MAINTENANCE" => {
            let machines = machines(body, kind)?;
            Command::Stop(StopMaintenance { machines })
        }
        "RESERVE_RESOURCES" => {
            let call: Reservation = part(body, kind)?;
            let source = call.source.as_ref().map(resources).transpose()?;
            Command::Reserve(ReserveResources {
                agent_id: call.agent_id.value,
                resources: resources(&call.resources)?,
                source,
            })
        }
        "UNRESERVE_RESOURCES" => {
            let call: Reservation = part(body, kind)?;
            Command::Unreserve(UnreserveResources {
                agent_id: call.agent_id.value,
                resources: resources(&call.resources)?,
            })
        }
        "DRAIN_AGENT" => {
            let call: Agent = part(body, kind)?;
            let grace = call.max_grace_period;
            Command::Drain(DrainAgent {
                agent_id: call.agent_id.value,
                max_grace_period: grace
                    .map(|span| std::time::Duration::from_nanos(span.nanoseconds)),
            })
        }
        "REACTIVATE_AGENT" => {
            let call: Agent = part(body, kind)?;
            Command::Reactivate(ReactivateAgent {
                agent_id: call.agent_id.value,
            })
        }
        other => {
            return Err(format!(
                "type {other}: no such call here; see docs/maintenance.md"
            ));
        }
    }))
}

fn machines(body: &Value, kind: &str) -> Result<std::collections::BTreeSet<String>, String> {
    let Machines { machines } = part(body, kind)?;
    Ok(MachineId::names(machines))
}

fn resources(value: &Value) -> Result<Resources, String> {
    Resources::from_json(value).map_err(|error| error.to_string())
}

/// What belongs to the call: the field that has its name, in small letters.
fn part<T: DeserializeOwned>(body: &Value, kind: &str) -> Result<T, String> {
    let name = kind.to_ascii_lowercase();
    let field = body
        .get(&name)
        .ok_or_else(|| format!("{kind}: the field \"{name}\" is missing"))?;
    T::deserialize(field).map_err(|error| format!("{kind}: {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_of_mesos_are_read() {
        let reserve = json!({
            "type": "RESERVE_RESOURCES",
            "reserve_resources": {
                "agent_id": { "value": "m-S0" },
                "resources": [{
                    "type": "SCALAR", "name": "cpus", "scalar": { "value": 2.0 },
                    "reservations": [{ "type": "DYNAMIC", "role": "eng" }],
                }],
            },
        });
        let Ok(Call::Command(Command::Reserve(call))) = read(&reserve) else {
            panic!("it is valid");
        };
        assert_eq!(
            call.resources.to_string(),
            "cpus(reservations:[(DYNAMIC,eng)]):2"
        );
        assert_eq!(call.source, None);
        let mut anew = reserve.clone();
        let cpus = json!([{ "type": "SCALAR", "name": "cpus", "scalar": { "value": 2.0 } }]);
        anew["reserve_resources"]["source"] = cpus;
        let Ok(Call::Command(Command::Reserve(call))) = read(&anew) else {
            panic!("it is valid");
        };
        assert_eq!(call.source, Some("cpus:2".parse().unwrap()));
        let drain = json!({
            "type": "DRAIN_AGENT",
            "drain_agent": { "agent_id": { "value": "m-S0" }, "max_grace_period": { "nanoseconds": 5_000_000_000_u64 } },
        });
        assert!(matches!(
            read(&drain),
            Ok(Call::Command(Command::Drain(call))) if call.max_grace_period.is_some_and(|span| span.as_secs() == 5)
        ));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, part) in [
            (json!({}), "\"type\""),
            (json!({"type": "FLY"}), "type FLY"),
            (
                json!({"type": "START_MAINTENANCE"}),
                "\"start_maintenance\" is missing",
            ),
            (
                json!({"type": "START_MAINTENANCE", "start_maintenance": {"machines": [{}]}}),
                "hostname",
            ),
            (
                json!({"type": "RESERVE_RESOURCES", "reserve_resources": {"agent_id": {"value": "a"}, "resources": 5}}),
                "array",
            ),
        ] {
            let error = read(&body).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
