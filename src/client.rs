//! A short-lived node that asks masters and agents, each question with a deadline.
//!
//! Owns the wording of what goes wrong on the way.

use std::time::Duration;

use anyhow::anyhow;
use tepui_framework::start_node;
use tepui_protocol::{FrameworkId, TaskId, messages::operator};
use tepui_runtime::{AnyPid, AskError, Message, Node, Undeliverable};

use crate::{cli::MasterAddress, output};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Someone with questions.
pub(crate) struct Client {
    node: Node,
    master: AnyPid,
    deadline: Duration,
}

impl Client {
    /// A client of `master`, which is not asked yet.
    ///
    /// # Errors
    /// When no address of this machine leads to the master, or its certificate cannot be used.
    pub(crate) async fn of(master: &MasterAddress) -> anyhow::Result<Self> {
        let node = start_node(master.pid.node(), master.security.tls()?).await?;
        Ok(Self {
            node,
            master: master.pid.clone(),
            deadline: DEADLINE,
        })
    }

    /// The same client, which waits that long for answers.
    pub(crate) fn patient_for(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Microseconds since the epoch.
    pub(crate) fn now(&self) -> tepui_protocol::Timestamp {
        tepui_protocol::Timestamp(self.node.now())
    }

    /// Asks the master.
    ///
    /// # Errors
    /// When it does not answer, with what to do about it.
    pub(crate) async fn ask<M: Message>(&self, question: M) -> anyhow::Result<M::Reply> {
        let answer = self.node.ask(&self.master, question, self.deadline).await;
        answer.map_err(|error| explain("master", &error))
    }

    /// Asks another actor of the master's node.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn ask_at<M: Message>(
        &self,
        actor: &AnyPid,
        question: M,
    ) -> anyhow::Result<M::Reply> {
        let answer = self.node.ask(actor, question, self.deadline).await;
        answer.map_err(|error| explain("master", &error))
    }

    /// Asks an agent.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn ask_agent<M: Message>(
        &self,
        agent: &AnyPid,
        question: M,
    ) -> anyhow::Result<M::Reply> {
        let answer = self.node.ask(agent, question, self.deadline).await;
        answer.map_err(|error| explain("agent", &error))
    }

    /// Asks an agent a question that takes longer.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn ask_within<M: Message>(
        &self,
        agent: &AnyPid,
        question: M,
        deadline: Duration,
    ) -> anyhow::Result<M::Reply> {
        let answer = self.node.ask(agent, question, deadline).await;
        answer.map_err(|error| explain("agent", &error))
    }

    /// Tells an agent something; it may not arrive.
    pub(crate) fn tell<M: Message>(&self, agent: &AnyPid, message: M) {
        if let Err(error) = self.node.tell(agent, message) {
            tracing::debug!(%error, message = M::NAME, "not sent");
        }
    }

    /// Where actors of this process can be.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The tasks that the master knows by that name.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn tasks(
        &self,
        framework_id: Option<FrameworkId>,
        task_id: Option<TaskId>,
    ) -> anyhow::Result<Vec<operator::TaskSummary>> {
        self.ask(operator::GetTasks {
            framework_id,
            task_id,
            live_only: false,
        })
        .await
    }

    /// Says goodbye to all peers.
    pub(crate) async fn close(self) {
        self.node.shutdown().await;
    }
}

/// Asks the master one question and shows the answer.
///
/// # Errors
/// When the master does not answer or stdout is closed.
pub(crate) async fn ask_and_show<M: Message>(
    view: &crate::cli::View,
    question: M,
    table: impl FnOnce(&M::Reply, tepui_protocol::Timestamp) -> output::Listing,
) -> anyhow::Result<()>
where
    M::Reply: serde::Serialize,
{
    let client = Client::of(view.master()).await?;
    let answer = client.ask(question).await;
    let now = client.now();
    client.close().await;
    output::show(view.json, &answer?, |answer| table(answer, now))
}

/// What went wrong between us and a node, and what to do.
fn explain(what: &str, error: &AskError) -> anyhow::Error {
    match error {
        AskError::Unreachable { pid, problem } => {
            let at = pid.node();
            // It is there, but the two do not get on.
            if let Some(does) = problem.strip_prefix(&format!("peer {at} ")) {
                return anyhow!("the {what} at {at} {does}");
            }
            let problem = problem.strip_prefix(&format!("cannot connect to {at}: "));
            let problem = problem.map_or_else(|| error_text(error), str::to_owned);
            anyhow!("no {what} at {at}: {problem}; {}", remedy(what))
        }
        AskError::Undeliverable {
            pid,
            reason: Undeliverable::NoSuchActor,
        } => {
            let at = pid.node();
            anyhow!(
                "the node at {at} has no actor `{}`; {}",
                pid.name(),
                remedy(what)
            )
        }
        AskError::Timeout { pid, after } => {
            let at = pid.node();
            anyhow!("the {what} at {at} did not answer within {after:?}; is it overloaded?")
        }
        other => anyhow!("{other}"),
    }
}

fn error_text(error: &AskError) -> String {
    match error {
        AskError::Unreachable { problem, .. } => problem.clone(),
        other => other.to_string(),
    }
}

fn remedy(what: &str) -> &'static str {
    match what {
        "master" => "start one with `tepui master` or name another with --master",
        _ => "see `tepui agents` for the state of the agents",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_master_is_told_with_its_address_and_a_remedy() {
        let pid: AnyPid = "master@127.0.0.1:5050".parse().unwrap();
        let problem = "cannot connect to 127.0.0.1:5050: connection refused".to_owned();
        let error = explain("master", &AskError::Unreachable { pid, problem }).to_string();
        let expected = "no master at 127.0.0.1:5050: connection refused; start one with \
                        `tepui master` or name another with --master";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_master_that_is_there_is_not_to_be_started() {
        let pid: AnyPid = "master@127.0.0.1:5050".parse().unwrap();
        let problem = "peer 127.0.0.1:5050 does not speak TLS".to_owned();
        let error = explain("master", &AskError::Unreachable { pid, problem }).to_string();
        assert_eq!(error, "the master at 127.0.0.1:5050 does not speak TLS");
    }

    #[test]
    fn a_node_without_a_master_is_told_from_no_node() {
        let pid: AnyPid = "master@127.0.0.1:5051".parse().unwrap();
        let reason = Undeliverable::NoSuchActor;
        let error = explain("master", &AskError::Undeliverable { pid, reason }).to_string();
        assert!(
            error.contains("node at 127.0.0.1:5051 has no actor `master`"),
            "{error}"
        );
    }
}
