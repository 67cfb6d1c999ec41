//! `tepui actors`: the actors of a node, each below the one that spawned it. Asks the node over
//! HTTP, as `curl http://ADDR/__actors__` does.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tepui_runtime::{
    NodeAddr,
    node::ActorInfo,
    transport::{Tcp, Transport, Untrusted},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    cli::security::Security,
    output::{self, Listing},
};

const EXAMPLES: &str = "\
Examples:
  tepui actors                              of the master at 127.0.0.1:5050
  tepui actors --node 127.0.0.1:5051 --json

MAILBOX is waiting/bound, BUSY the seconds spent in handlers. A node shows its actors to whoever
has a certificate, and without certificates to its own machine only.";

/// How long the answer may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// More than any node's answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// List the actors of a node: mailboxes, work done, exits
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The node's address
    #[arg(
        long,
        env = "TEPUI_NODE",
        default_value = "127.0.0.1:5050",
        value_name = "HOST:PORT"
    )]
    node: NodeAddr,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    security: Security,
}

/// What a node answers.
#[derive(Debug, Deserialize, Serialize)]
struct Actors {
    node: String,
    dead_letters: u64,
    actors: Vec<ActorInfo>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let addr = &arguments.node;
    let transport: Box<dyn Transport> = match arguments.security.tls()? {
        Some(tls) => Box::new(tls),
        None => Box::new(Tcp),
    };
    let asking = timeout(DEADLINE, get(&*transport, addr, "/__actors__"));
    let late = |_| anyhow!("the node at {addr} did not answer within {DEADLINE:?}");
    let answer = asking.await.map_err(late)??;
    let actors: Actors = serde_json::from_str(&answer)
        .with_context(|| format!("the node at {addr} answered something else"))?;
    output::show(arguments.json, &actors, |actors| {
        let headings = [
            "ACTOR",
            ">MAILBOX",
            ">HANDLED",
            ">BUSY",
            ">RESTARTS",
            "LAST EXIT",
            "TYPE",
        ];
        let mut table = Listing::new(&headings, "no actors");
        for (depth, info) in tepui_runtime::node::tree(&actors.actors) {
            table.row(row(depth, info));
        }
        table
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(depth: usize, info: &ActorInfo) -> [String; 7] {
    [
        format!("{}{}", "  ".repeat(depth), info.name),
        format!("{}/{}", info.waiting, info.capacity),
        info.handled.to_string(),
        format!("{:.3}", info.busy_micros as f64 / 1e6),
        info.restarts.to_string(),
        info.last_exit.clone().unwrap_or_default(),
        info.kind.clone(),
    ]
}

/// The body of a page of a node.
async fn get(transport: &dyn Transport, addr: &NodeAddr, path: &str) -> anyhow::Result<String> {
    let stream = transport.connect(addr).await;
    let stream = stream.map_err(|error| match Untrusted::within(&error) {
        Some(does) => anyhow!("the node at {addr} {does}"),
        None => anyhow!("no node at {addr}: {error}; name another with --node HOST:PORT"),
    })?;
    let (read, mut write) = stream.into_split();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    write.write_all(request.as_bytes()).await?;
    write.flush().await?;
    let mut answer = String::new();
    let mut bounded = read.take(ANSWER_BYTES_MAX);
    bounded.read_to_string(&mut answer).await?;
    body(addr, &answer).map(str::to_owned)
}

fn body<'a>(addr: &NodeAddr, answer: &'a str) -> anyhow::Result<&'a str> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        Some(status) if head.starts_with("HTTP/1.") => {
            bail!("the node at {addr} refused ({status}): {}", body.trim())
        }
        _ => bail!("the node at {addr} does not speak HTTP: it is switched off there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_answers() {
        let addr = NodeAddr::new("127.0.0.1", 1);
        let ok = "HTTP/1.1 200 OK\r\na: b\r\n\r\n{}";
        assert_eq!(body(&addr, ok).unwrap(), "{}");
        let refused = "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":\"no\"}\n";
        let error = body(&addr, refused).unwrap_err().to_string();
        assert_eq!(
            error,
            "the node at 127.0.0.1:1 refused (403): {\"error\":\"no\"}"
        );
        assert!(body(&addr, "").unwrap_err().to_string().contains("HTTP"));
    }
}
