//! `tepui certs`: the cluster's certificate authority, as files in a directory.
//!
//! ```text
//! DIR/ca.pem      to every node           DIR/NAME.pem    to the node NAME
//!    /ca.key      stays with the operator    /NAME.key    likewise, and to nobody else
//! ```
//! Keys are readable by their owner alone. What is in a certificate is decided in `tepui-certs`.

mod files;
mod show;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use tepui_certs::{Authority, AuthorityError, CertifiedKey, Host, InvalidHost, Validity};

use crate::{
    cli::{BadInput, bad_input},
    output,
};
use files::{Existing, read, write_pair};

const EXAMPLES: &str = "\
Examples:
  tepui certs init --dir certs                            once for a cluster
  tepui certs issue --dir certs master --host 10.0.0.1    for each node
  tepui certs issue --dir certs agent-1 --host 10.0.0.2 --host agent-1.example
  tepui certs issue --dir certs alice                     for someone who asks and runs
  tepui certs show certs/agent-1.pem

Give a node ca.pem, its own NAME.pem and its own NAME.key, with --tls-ca, --tls-cert and
--tls-key. Keep ca.key away from nodes: whoever has it can pass for any of them.";

/// Years of 365 days.
const CA_DAYS: u32 = 3650;
const NODE_DAYS: u32 = 365;

/// Make and issue the certificates of a cluster
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a certificate authority; it holds for ten years
    Init {
        /// The directory of the authority; made if it is not there
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Issue a certificate to a node
    Issue(Issue),
    /// Show whose a certificate is, for what and how long
    Show {
        /// A certificate in PEM form
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Issue {
    /// The directory of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The node's name: also that of its files
    #[arg(value_parser = parse_host)]
    name: Host,
    /// A name or address by which others dial the node; may be repeated
    #[arg(long = "host", value_name = "HOST", value_parser = parse_host)]
    hosts: Vec<Host>,
    /// How long it holds
    #[arg(long, default_value_t = NODE_DAYS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// Write over a certificate and key that are there
    #[arg(long)]
    replace: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let now = now();
    let told = match arguments.what {
        What::Init { dir } => init(&dir, now)?,
        What::Issue(issue) => issue.run(now)?,
        What::Show { file } => show::describe(&file, now)?,
    };
    output::print(&told)?;
    Ok(ExitCode::SUCCESS)
}

/// The one place where the clock is asked.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates hold by the calendar"
)]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

fn parse_host(text: &str) -> Result<Host, InvalidHost> {
    text.parse()
}

fn init(dir: &std::path::Path, now: i64) -> anyhow::Result<String> {
    std::fs::create_dir_all(dir).with_context(|| format!("directory {}", dir.display()))?;
    let (_, made) = Authority::create(Validity::days_from(now, CA_DAYS))?;
    let paths = write_pair(dir, "ca", &made, Existing::Refuse).map_err(|error| {
        if error.is::<BadInput>() {
            anyhow!(BadInput(format!(
                "{error}; nodes trust the authority that is there: choose another --dir"
            )))
        } else {
            error
        }
    })?;
    Ok(format!(
        "made {} (for every node) and {} (for nobody else: keep it safe)\nnext: tepui certs \
         issue --dir {} NAME --host ADDRESS",
        paths.cert.display(),
        paths.key.display(),
        dir.display()
    ))
}

impl Issue {
    fn run(self, now: i64) -> anyhow::Result<String> {
        let name = self.name.to_string();
        if name == "ca" {
            let taken = "NAME ca: those files are the authority's; choose another name";
            return Err(BadInput(taken.to_owned()).into());
        }
        let authority = self.authority()?;
        let mut hosts = vec![self.name.clone()];
        for host in self.hosts {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let issued = authority.issue(&hosts, Validity::days_from(now, self.days));
        let issued: CertifiedKey = issued.map_err(|error| match error {
            AuthorityError::Outlives { .. } | AuthorityError::Date(_) => {
                BadInput(format!("--days {}: {error}; choose fewer", self.days)).into()
            }
            error => anyhow::Error::from(error),
        })?;
        let existing = if self.replace {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        let paths = write_pair(&self.dir, &name, &issued, existing).map_err(|error| {
            if error.is::<BadInput>() {
                anyhow!(BadInput(format!("{error}; --replace writes over it")))
            } else {
                error
            }
        })?;
        let shown = show::describe(&paths.cert, now)?;
        Ok(format!(
            "made {} and {}\n{shown}",
            paths.cert.display(),
            paths.key.display()
        ))
    }

    fn authority(&self) -> anyhow::Result<Authority> {
        let (cert, key) = (self.dir.join("ca.pem"), self.dir.join("ca.key"));
        let there = |path: &PathBuf| {
            read(path).map_err(|error| {
                let make = format!("`tepui certs init --dir {}` makes one", self.dir.display());
                BadInput(format!("{}; {make}", output::chain(&error)))
            })
        };
        let (cert_text, key_text) = (there(&cert)?, there(&key)?);
        let authority = Authority::load(&cert_text, &key_text);
        authority
            .with_context(|| format!("{} and {}", cert.display(), key.display()))
            .map_err(bad_input)
    }
}
