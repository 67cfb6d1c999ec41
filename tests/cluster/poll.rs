//! Waiting for a cluster to get somewhere: asks again and again, on whatever clock there is.

use std::time::Duration;

use tepui_protocol::messages::operator;
use tepui_runtime::{AnyPid, Message, Node};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// An answer takes no longer, or it is asked for again.
const ANSWER: Duration = Duration::from_secs(2);

/// A way into a cluster: a node, and the master.
#[derive(Clone)]
pub struct Client {
    /// Whence is asked.
    pub node: Node,
    /// Who is asked.
    pub master: AnyPid,
}

impl Client {
    /// Asks the master, again if it does not answer.
    pub async fn ask<M: Message + Clone>(&self, question: M) -> M::Reply {
        self.ask_of(&self.master, question).await
    }

    /// Asks an actor, again if it does not answer.
    pub async fn ask_of<M: Message + Clone>(&self, actor: &AnyPid, question: M) -> M::Reply {
        until(M::NAME, async || {
            self.node.ask(actor, question.clone(), ANSWER).await.ok()
        })
        .await
    }

    /// Waits until `count` agents are there.
    pub async fn agents(&self, count: usize) -> Vec<operator::AgentSummary> {
        until("agents register", async || {
            let agents = self.ask(operator::GetAgents {}).await;
            let active =
                |agent: &&operator::AgentSummary| agent.standing == operator::AgentStanding::Active;
            (agents.iter().filter(active).count() == count).then_some(agents)
        })
        .await
    }

    /// All tasks that the master knows of.
    pub async fn tasks(&self) -> Vec<operator::TaskSummary> {
        self.ask(operator::GetTasks::default()).await
    }
}

/// Looks until there is an answer.
///
/// # Panics
/// When there is none within 60 s.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(answer) = look().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
    }
}
