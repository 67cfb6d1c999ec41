//! `tepui why FRAMEWORK`: why a framework is offered what it is offered, and not more.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use tepui_protocol::{
    Explanation, FrameworkId, Timestamp,
    explanation::{Reason, Turn},
    gang::{GangStanding, GangState},
    messages::operator::{Explain, GetGangs},
};
use tepui_runtime::AnyPid;

use crate::{
    cli::View,
    client::Client,
    output::{self, percent, span},
};

const EXAMPLES: &str = "\
Examples:
  tepui why 6f2c-0003          a framework by its id; see `tepui frameworks`
  tepui why 6f2c-0003 --json

For each of its roles: what it holds, when it is its turn, and what becomes of the agents' resources;
of a gang that has not begun (`tepui run --gang`): what is kept back for it, and what it lacks.";

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
    let answer = ask(&client, &allocator, &framework_id).await;
    let now = client.now();
    client.close().await;
    let explanation = answer?.ok_or_else(|| {
        anyhow!("framework {framework_id} is unknown, or has ended; see `tepui frameworks`")
    })?;
    if view.json {
        output::print(&serde_json::to_string_pretty(&explanation)?)?;
    } else {
        output::print(&text(&explanation, now))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The allocator's answer and the master's, as one.
async fn ask(
    client: &Client,
    allocator: &AnyPid,
    framework_id: &FrameworkId,
) -> anyhow::Result<Option<Explanation>> {
    let framework_id = framework_id.clone();
    let question = Explain {
        framework_id: framework_id.clone(),
    };
    let Some(mut explanation) = client.ask_at(allocator, question).await? else {
        return Ok(None);
    };
    explanation.gangs = client.ask(GetGangs { framework_id }).await?;
    Ok(Some(explanation))
}

fn text(explanation: &Explanation, now: Timestamp) -> String {
    let turns = explanation.turns.iter();
    let parts: Vec<String> = turns
        .map(|turn| {
            let mut gangs = explanation.gangs.iter();
            let gang = gangs.find(|standing| standing.role == turn.role);
            turn_text(turn, gang, explanation.runs, now)
        })
        .collect();
    match parts.is_empty() {
        true => "it is subscribed to no role and holds nothing".to_owned(),
        false => parts.join("\n"),
    }
}

fn turn_text(turn: &Turn, gang: Option<&GangStanding>, runs: u64, now: Timestamp) -> String {
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
    if let Some(gang) = gang {
        lines.extend(gang_lines(gang, now).map(|line| format!("  {line}")));
    }
    for (reason, count) in &turn.agents {
        let agents = number(*count as u64, "agent");
        let reason = match reason {
            Reason::Refused if gang.is_some() => {
                "given back for a while, as it was not enough for the gang, or refused".to_owned()
            }
            reason => reason.to_string(),
        };
        lines.push(format!("  {agents}: {reason}"));
    }
    lines.join("\n")
}

/// What a gang needs, has and waits for.
fn gang_lines(standing: &GangStanding, now: Timestamp) -> impl Iterator<Item = String> {
    let GangStanding {
        gang, room, held, ..
    } = standing;
    let tasks = number(u64::from(gang.tasks), "task");
    let spread = match gang.agents {
        0 | 1 => String::new(),
        agents => format!(" on at least {agents} agents"),
    };
    let needs = format!(
        "begins with all of a gang or not at all: {tasks} of {}{spread}",
        gang.each
    );
    let missing = u64::from(gang.tasks).saturating_sub(*room);
    let agents = (gang.agents as usize).saturating_sub(standing.on_agents);
    let lacks = match missing {
        0 => number(agents as u64, "more agent"),
        missing => format!("room for {}", number(missing, "task")),
    };
    let left = |until: &Timestamp| span(until.since(now));
    let has = match &standing.state {
        GangState::Gathers { until } => format!(
            "{held} is kept back for it, room for {} on {}; lacks {lacks}; gives up in {}",
            number(*room, "task"),
            number(standing.on_agents as u64, "agent"),
            left(until)
        ),
        GangState::Pauses { until } => format!(
            "gave up {} and is offered nothing of what it held for {}",
            number(u64::from(standing.vain), "time"),
            left(until)
        ),
        GangState::Waits => "nothing is kept back for it".to_owned(),
    };
    let earlier = match standing.before {
        0 => None,
        before => Some(format!(
            "{} came before it, and goes first where both could begin",
            number(before as u64, "gang")
        )),
    };
    [Some(needs), Some(has), earlier].into_iter().flatten()
}

/// `1 task`, `2 tasks`.
fn number(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tepui_protocol::{Gang, Role};

    use super::*;

    #[test]
    fn an_explanation_is_a_few_lines() {
        let mut turn = Turn {
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
            turns: vec![turn.clone()],
            gangs: Vec::new(),
        };
        let now = Timestamp::from_secs(1000);
        let expected = "\
role eng/web: holds cpus:1, a share of 12.5%
  2 of 5 are before it in turn
  was given something in run 7 of 9
  declined all offers of 6 runs in a row, so its refusals hold longer; a revive ends that
  3 agents: all is used or offered
  1 agent: held back for what other roles are guaranteed; see `tepui quota`";
        assert_eq!(text(&explanation, now), expected);

        turn.agents = BTreeMap::from([(Reason::Refused, 1)]);
        turn.declined_runs = None;
        let standing = |state, tasks, agents| GangStanding {
            role: turn.role.clone(),
            gang: Gang {
                tasks,
                each: "cpus:1".parse().unwrap(),
                agents,
            },
            state,
            held: "cpus:2".parse().unwrap(),
            room: 2,
            on_agents: 1,
            vain: 2,
            before: 1,
        };
        let until = Timestamp::from_secs(1012);
        let told = |standing| {
            let explanation = Explanation {
                runs: 9,
                turns: vec![turn.clone()],
                gangs: vec![standing],
            };
            text(&explanation, now)
        };
        let expected = "\
role eng/web: holds cpus:1, a share of 12.5%
  2 of 5 are before it in turn
  was given something in run 7 of 9
  begins with all of a gang or not at all: 4 tasks of cpus:1
  cpus:2 is kept back for it, room for 2 tasks on 1 agent; lacks room for 2 tasks; gives up in 12s
  1 gang came before it, and goes first where both could begin
  1 agent: given back for a while, as it was not enough for the gang, or refused";
        assert_eq!(told(standing(GangState::Gathers { until }, 4, 0)), expected);
        let spread = told(standing(GangState::Gathers { until }, 2, 2));
        assert!(spread.contains("lacks 1 more agent;"), "{spread}");
        let pause = told(standing(GangState::Pauses { until }, 4, 0));
        let line = "gave up 2 times and is offered nothing of what it held for 12s";
        assert!(pause.contains(line), "{pause}");
    }
}
