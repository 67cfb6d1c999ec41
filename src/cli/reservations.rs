//! `tepui reservations`: what is reserved to roles on the agents; reserve more, and undo it.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;
use tepui_protocol::{
    AgentId, Resource, Resources, Role,
    messages::operator::{GetAgents, ReserveResources, UnreserveResources},
    resources::{Reservation, ReservationKind},
};

use crate::{
    cli::{View, arguments::MasterAddress, bad_input},
    client::Client,
    output::{self, Listing},
};

const EXAMPLES: &str = "\
Examples:
  tepui reservations                                            what is reserved where
  tepui reservations add AGENT 'cpus:2;mem:1024' --role eng     for eng and the roles below it
  tepui reservations add AGENT cpus:1 --role eng/web --from eng   of what eng has, for eng/web alone
  tepui reservations remove AGENT cpus:1 --role eng/web         it is eng's again
  tepui reservations move AGENT cpus:1 --from eng --role ops    of what eng has, for ops, in one step

Roles may use what is reserved to the roles above them. What tasks use cannot be reserved, nor its
reservation be undone; offers are withdrawn. CLAIMS are from the first made to the last, which counts;
those marked static are of the agent's configuration.";

/// Show what is reserved to roles; reserve resources of agents, and undo it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    view: View,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reserve resources of an agent to a role; the master remembers it
    Add(Add),
    /// Undo the topmost reservation of resources of an agent
    Remove(Remove),
    /// Reserve what a role has to another one instead: nobody gets it in between
    Move(Move),
}

#[derive(Debug, Args)]
struct Add {
    /// Whose; see `tepui agents`
    agent: AgentId,
    /// How much
    resources: Resources,
    /// To which role
    #[arg(long)]
    role: Role,
    /// Take what is reserved to this role, which must be above the other; else what nobody has reserved
    #[arg(long, value_name = "ROLE")]
    from: Option<Role>,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Move {
    /// Whose; see `tepui agents`
    agent: AgentId,
    /// How much
    resources: Resources,
    /// To which role it is reserved now
    #[arg(long, value_name = "ROLE")]
    from: Role,
    /// To which role
    #[arg(long)]
    role: Role,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Remove {
    /// Whose; see `tepui agents`
    agent: AgentId,
    /// How much
    resources: Resources,
    /// To which role it is reserved
    #[arg(long)]
    role: Role,
    #[command(flatten)]
    master: MasterAddress,
}

/// What scripts get of a reservation.
#[derive(Debug, Serialize)]
struct Row {
    agent: AgentId,
    hostname: String,
    claims: Vec<Reservation>,
    resources: Resources,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None => show(&arguments.view).await?,
        Some(Command::Add(add)) => reserve(add).await?,
        Some(Command::Remove(remove)) => unreserve(remove).await?,
        Some(Command::Move(moved)) => reserve_anew(moved).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn reserve(add: Add) -> anyhow::Result<()> {
    if let Some(from) = add
        .from
        .as_ref()
        .filter(|from| !from.is_ancestor_of(&add.role))
    {
        let role = &add.role;
        return Err(bad_input(anyhow!(
            "--from {from}: {role} is not below it; what is reserved to a role can be reserved to roles below it"
        )));
    }
    let client = Client::of(&add.master).await?;
    let of_role = |entry: &Resource| entry.reserved_to() == add.from.as_ref();
    let told = match find(&client, &add.agent, &add.resources, of_role).await {
        Ok(found) => {
            let claim = Reservation::dynamic(add.role, None);
            let resources = found.push_reservation(&claim);
            let agent_id = add.agent;
            client
                .ask(ReserveResources {
                    agent_id,
                    resources,
                    source: None,
                })
                .await
        }
        Err(error) => Err(error),
    };
    client.close().await;
    told?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))
}

async fn reserve_anew(moved: Move) -> anyhow::Result<()> {
    let client = Client::of(&moved.master).await?;
    let of_role = |entry: &Resource| {
        entry.is_dynamically_reserved() && entry.reserved_to() == Some(&moved.from)
    };
    let told = match find(&client, &moved.agent, &moved.resources, of_role).await {
        Ok(source) => {
            let claim = Reservation::dynamic(moved.role, None);
            let resources = source.pop_reservation().push_reservation(&claim);
            let agent_id = moved.agent;
            client
                .ask(ReserveResources {
                    agent_id,
                    resources,
                    source: Some(source),
                })
                .await
        }
        Err(error) => Err(error),
    };
    client.close().await;
    told?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))
}

async fn unreserve(remove: Remove) -> anyhow::Result<()> {
    let client = Client::of(&remove.master).await?;
    let of_role = |entry: &Resource| {
        entry.is_dynamically_reserved() && entry.reserved_to() == Some(&remove.role)
    };
    let told = match find(&client, &remove.agent, &remove.resources, of_role).await {
        Ok(resources) => {
            let agent_id = remove.agent;
            client
                .ask(UnreserveResources {
                    agent_id,
                    resources,
                })
                .await
        }
        Err(error) => Err(error),
    };
    client.close().await;
    told?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))
}

/// Resources of an agent that suit and cover what is wanted.
async fn find(
    client: &Client,
    id: &AgentId,
    wanted: &Resources,
    suits: impl Fn(&Resource) -> bool,
) -> anyhow::Result<Resources> {
    let agents = client.ask(GetAgents {}).await?;
    let agent = agents
        .iter()
        .find(|agent| agent.info.id.as_ref() == Some(id));
    let agent = agent.ok_or_else(|| anyhow!("agent {id} is unknown; see `tepui agents`"))?;
    let pool = agent.info.resources.filter(suits);
    // What no task uses comes first.
    let unused = &pool - &agent.used.unallocate();
    let found = unused.find(wanted).or_else(|| pool.find(wanted));
    found.ok_or_else(|| {
        anyhow!("agent {id}: it has no {wanted} of that kind, but {pool}; see `tepui reservations`")
    })
}

async fn show(view: &View) -> anyhow::Result<()> {
    let client = Client::of(view.master()).await?;
    let answer = client.ask(GetAgents {}).await;
    client.close().await;
    let mut rows: Vec<Row> = Vec::new();
    for info in answer?.into_iter().map(|agent| agent.info) {
        let Some(id) = info.id else { continue };
        let mut stacks = BTreeMap::<Vec<Reservation>, Resources>::new();
        for entry in info.resources.reserved() {
            let stack = stacks.entry(entry.reservations.clone()).or_default();
            stack.add_resource(entry);
        }
        rows.extend(stacks.into_iter().map(|(claims, resources)| Row {
            agent: id.clone(),
            hostname: info.hostname.clone(),
            claims,
            resources,
        }));
    }
    output::show(view.json, &rows, |rows| {
        let headings = ["AGENT", "HOST", "CLAIMS", "RESOURCES"];
        let mut table = Listing::new(&headings, "nothing is reserved");
        for row in rows {
            let claims: Vec<String> = row.claims.iter().map(claim).collect();
            table.row([
                row.agent.to_string(),
                row.hostname.clone(),
                claims.join(" > "),
                row.resources.to_unreserved().to_string(),
            ]);
        }
        table
    })
}

fn claim(claim: &Reservation) -> String {
    match claim.kind {
        ReservationKind::Static => format!("{} (static)", claim.role),
        ReservationKind::Dynamic => claim.role.to_string(),
    }
}
