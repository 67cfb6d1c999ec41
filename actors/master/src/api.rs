//! `POST /api/v1` on the master's node: calls of Mesos's v1 operator API, in JSON, as far as they are here.
//!
//! An actor of its own named `api`, which asks the master. A call is `{"type": "RESERVE_RESOURCES", "reserve_resources":
//! {..}}`; reads are answered with an object of the same kind, writes with 200 or 202 and nothing. What the master refuses is
//! 400 with its words. `api/calls.rs` has the calls' forms.
//
//= mesos, v1 operator API

mod calls;

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::{
    maintenance::{
        Mode,
        json::{MachineId, Nanoseconds, ScheduleJson},
    },
    messages::operator::{GetMaintenance, MachineSummary, MaintenanceSummary},
};
use tepui_runtime::{
    AskError, Message,
    http::{HttpError, HttpRequest, HttpResponse, IntoHttp, Json, StatusCode},
    prelude::*,
};

use self::calls::{Call, Command};
use crate::{MasterActor, effects::Outcome};

/// The name of the actor.
pub const API: &str = "api";

/// A master that is busy for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers `/api/v1`.
#[derive(Debug, Actor)]
pub struct Api(
    /// The master that is asked.
    pub Pid<MasterActor>,
);

#[handlers]
impl Api {
    /// A call of Mesos's v1 operator API: maintenance, reservations, drained agents.
    #[route(POST, "/v1")]
    async fn call(&mut self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let body: Value = request.json()?;
        match calls::read(&body).map_err(HttpError::bad_request)? {
            Call::Schedule => Ok(Json(schedule(&self.maintenance().await?)).into_http()),
            Call::Status => Ok(Json(status(&self.maintenance().await?)).into_http()),
            Call::Command(command) => {
                let done = match command {
                    Command::Reserve(_) | Command::Unreserve(_) => StatusCode::ACCEPTED,
                    _ => StatusCode::OK,
                };
                let outcome = self.command(command).await?;
                outcome.map_err(HttpError::bad_request)?;
                Ok(done.into_http())
            }
        }
    }
}

impl Api {
    async fn maintenance(&self) -> Result<MaintenanceSummary, HttpError> {
        let answer = self.0.ask(GetMaintenance {}, PATIENCE).await;
        answer.map_err(|error| unavailable(&error))
    }

    async fn command(&self, command: Command) -> Result<Outcome, HttpError> {
        match command {
            Command::Schedule(call) => self.ask(call).await,
            Command::Start(call) => self.ask(call).await,
            Command::Stop(call) => self.ask(call).await,
            Command::Reserve(call) => self.ask(call).await,
            Command::Unreserve(call) => self.ask(call).await,
            Command::Drain(call) => self.ask(call).await,
            Command::Reactivate(call) => self.ask(call).await,
        }
    }

    async fn ask<M>(&self, call: M) -> Result<Outcome, HttpError>
    where
        M: Message<Reply = Outcome>,
        MasterActor: Handler<M>,
    {
        let answer = self.0.ask(call, PATIENCE).await;
        answer.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &AskError) -> HttpError {
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn schedule(of: &MaintenanceSummary) -> Value {
    json!({
        "type": "GET_MAINTENANCE_SCHEDULE",
        "get_maintenance_schedule": { "schedule": ScheduleJson::from(&of.schedule) },
    })
}

fn status(of: &MaintenanceSummary) -> Value {
    let (down, draining): (Vec<&MachineSummary>, Vec<_>) = of
        .machines
        .iter()
        .partition(|machine| machine.mode == Mode::Down);
    let down = MachineId::all(down.iter().map(|machine| &machine.hostname));
    let draining: Vec<Value> = draining.into_iter().map(draining_machine).collect();
    json!({
        "type": "GET_MAINTENANCE_STATUS",
        "get_maintenance_status": {
            "status": { "draining_machines": draining, "down_machines": down },
        },
    })
}

fn draining_machine(machine: &MachineSummary) -> Value {
    let statuses = machine.answers.iter().map(|said| {
        json!({
            "status": said.answer,
            "framework_id": { "value": said.framework_id },
            "timestamp": Nanoseconds::from(said.at),
        })
    });
    json!({
        "id": { "hostname": machine.hostname },
        "statuses": statuses.collect::<Vec<_>>(),
    })
}
