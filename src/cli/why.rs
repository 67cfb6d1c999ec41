//! `tepui why FRAMEWORK`: why a framework is offered what it is offered, and not more.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use tepui_protocol::{Explanation, FrameworkId, explanation::Turn, messages::operator::Explain};
use tepui_runtime::AnyPid;

use crate::{
    cli::View,
    client::Client,
    output::{self, percent},
};

const EXAMPLES: &str = "\
Examples:
  tepui why 6f2c-0003          a framework by its id; see `tepui frameworks`
  tepui why 6f2c-0003 --json

For each of its roles: what it holds, when it is its turn, and what becomes of the agents' resources.";

/// Explain why a framework is offered what it is offered
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Which, by its id
    framework: FrameworkId,
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let view = &arguments.view;
    let framework_id = arguments.framework;
    let allocator = AnyPid::new("allocator", view.master().pid.node().clone())?;
    let client = Client::of(view.master()).await?;
    let question = Explain {
        framework_id: framework_id.clone(),
    };
    let answer = client.ask_at(&allocator, question).await;
    client.close().await;
    let explanation = answer?.ok_or_else(|| {
        anyhow!("framework {framework_id} is unknown, or has ended; see `tepui frameworks`")
    })?;
    if view.json {
        output::print(&serde_json::to_string_pretty(&explanation)?)?;
    } else {
        output::print(&text(&explanation))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(explanation: &Explanation) -> String {
    let turns = explanation.turns.iter();
    let parts: Vec<String> = turns
        .map(|turn| turn_text(turn, explanation.runs))
        .collect();
    match parts.is_empty() {
        true => "it is subscribed to no role and holds nothing".to_owned(),
        false => parts.join("\n"),
    }
}

fn turn_text(turn: &Turn, runs: u64) -> String {
    let held = match turn.held.to_string() {
        held if held.is_empty() => "nothing".to_owned(),
        held => held,
    };
    let share = percent(turn.dominant_share);
    let mut lines = vec![format!(
        "role {}: holds {held}, a share of {share}",
        turn.role
    )];
    lines.push(match turn.before {
        Some(0) => format!("  next in turn of {}", turn.turns),
        Some(before) => format!("  {before} of {} are before it in turn", turn.turns),
        None => "  not in turn".to_owned(),
    });
    lines.push(match turn.served_in {
        Some(run) => format!("  was given something in run {run} of {runs}"),
        None => format!("  was given nothing in {runs} runs"),
    });
    if let Some(runs) = turn.declined_runs {
        lines.push(format!(
            "  declined all offers of {runs} runs in a row, so its refusals hold longer; a revive ends that"
        ));
    }
    for (reason, count) in &turn.agents {
        let agents = if *count == 1 { "agent" } else { "agents" };
        lines.push(format!("  {count} {agents}: {reason}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tepui_protocol::{Role, explanation::Reason};

    use super::*;

    #[test]
    fn an_explanation_is_a_few_lines() {
        let turn = Turn {
            role: Role::new("eng/web").unwrap(),
            held: "cpus:1".parse().unwrap(),
            dominant_share: 0.125,
            before: Some(2),
            turns: 5,
            served_in: Some(7),
            declined_runs: Some(6),
            agents: BTreeMap::from([(Reason::NothingFree, 3), (Reason::Headroom, 1)]),
        };
        let explanation = Explanation {
            runs: 9,
            turns: vec![turn],
        };
        let expected = "\
role eng/web: holds cpus:1, a share of 12.5%
  2 of 5 are before it in turn
  was given something in run 7 of 9
  declined all offers of 6 runs in a row, so its refusals hold longer; a revive ends that
  3 agents: all is used or offered
  1 agent: held back for what other roles are guaranteed; see `tepui quota`";
        assert_eq!(text(&explanation), expected);
    }
}
