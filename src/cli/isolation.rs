//! How tasks are kept from each other and from the machine: the flags of nodes that run tasks.

use std::path::PathBuf;

use clap::Args;
use tepui_isolation::{
    Containerizer, IsolationConfig, Subnet,
    container::Off,
    launch::{Bind, Program},
};
use tepui_protocol::NetworkMode;

use crate::{cli::bad_input, output};

/// What keeps tasks apart.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Isolation (docs/isolation.md)")]
pub(crate) struct Isolation {
    /// Isolators by name, or auto: all that work here, or none [default: auto]
    #[arg(
        long,
        env = "TEPUI_ISOLATION",
        value_name = "NAME,..",
        value_delimiter = ','
    )]
    isolation: Vec<String>,
    /// Whom tasks run as when their framework names nobody [default: nobody]
    #[arg(long, env = "TEPUI_TASK_USER", value_name = "USER")]
    task_user: Option<String>,
    /// A file or directory of this machine that tasks see, read-only unless :rw; may be repeated
    #[arg(long = "volume", value_name = "HOST[:TASK][:rw]", value_parser = parse_volume)]
    volumes: Vec<Bind>,
    /// A program such as runc or crun that makes the containers, in place of tepui itself
    #[arg(long, env = "TEPUI_OCI_RUNTIME", value_name = "PATH")]
    oci_runtime: Option<PathBuf>,
    /// Let frameworks run tasks as root, with none of its powers
    #[arg(long, env = "TEPUI_ROOT_TASKS")]
    root_tasks: bool,
    /// Whose network tasks are in that do not say so: host or private [default: host]
    #[arg(long, env = "TEPUI_NETWORK", value_name = "MODE")]
    network: Option<NetworkMode>,
    /// The addresses of private networks, of no other agent on the machine [default: 10.88.0.0/16]
    #[arg(long, env = "TEPUI_NETWORK_SUBNET", value_name = "SUBNET")]
    network_subnet: Option<Subnet>,
}

impl Isolation {
    /// What the flags say, over what the file says.
    pub(crate) fn over(&self, file: IsolationConfig) -> IsolationConfig {
        let file = match self.isolation.is_empty() {
            true => file,
            false => file.with_isolators(self.isolation.clone()),
        };
        IsolationConfig {
            task_user: self.task_user.clone().unwrap_or(file.task_user),
            root_tasks: self.root_tasks || file.root_tasks,
            network: self.network.unwrap_or(file.network),
            network_subnet: self.network_subnet.unwrap_or(file.network_subnet),
            oci_runtime: self.oci_runtime.clone().or(file.oci_runtime),
            volumes: match self.volumes.is_empty() {
                true => file.volumes,
                false => self.volumes.clone(),
            },
            ..file
        }
    }
}

/// `/data`, `/data:/input` or `/data:/input:rw`.
fn parse_volume(text: &str) -> Result<Bind, String> {
    let (paths, read_only) = match text.strip_suffix(":rw") {
        Some(paths) => (paths, false),
        None => (text, true),
    };
    let (source, target) = paths.split_once(':').unwrap_or((paths, paths));
    if !source.starts_with('/') || !target.starts_with('/') || target.contains(':') {
        return Err("write e.g. /data, /data:/input or /data:/input:rw".to_owned());
    }
    Ok(Bind {
        source: source.into(),
        target: target.into(),
        read_only,
    })
}

/// The isolators, and one line for people on those that do not work here.
///
/// # Errors
/// When one is asked for that does not work or does not exist.
pub(crate) fn containerizer(
    config: IsolationConfig,
) -> anyhow::Result<(Containerizer, Option<String>)> {
    let (containerizer, off) = Containerizer::new(config, Program::this()).map_err(bad_input)?;
    Ok((containerizer, line(&off)))
}

/// Says on stderr what isolation lacks, if anything.
pub(crate) fn tell(line: Option<String>) {
    if let Some(line) = line {
        output::note(&line);
    }
}

/// Those with the same reason together.
fn line(off: &[Off]) -> Option<String> {
    let mut reasons: Vec<&str> = off.iter().map(|off| off.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let of_reason = |reason: &&str| {
        let names = off.iter().filter(|off| off.reason == **reason);
        let names: Vec<&str> = names.map(|off| off.name).collect();
        format!("{} ({reason})", names.join(", "))
    };
    let groups: Vec<String> = reasons.iter().map(of_reason).collect();
    (!groups.is_empty()).then(|| format!("isolators that are off: {}", groups.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_told_in_one_line_by_reason() {
        let off = |name, reason: &str| Off {
            name,
            reason: reason.to_owned(),
        };
        let told = line(&[
            off("cgroups/cpu", "needs root"),
            off("x", "other"),
            off("cgroups/mem", "needs root"),
        ]);
        let expected = "isolators that are off: cgroups/cpu, cgroups/mem (needs root); x (other)";
        assert_eq!(told.as_deref(), Some(expected));
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn volumes_are_read_only_unless_they_say_otherwise() {
        let volume = parse_volume("/data:/input:rw").unwrap();
        assert_eq!(
            (volume.target.to_str(), volume.read_only),
            (Some("/input"), false)
        );
        let volume = parse_volume("/data").unwrap();
        assert_eq!((volume.target, volume.read_only), (volume.source, true));
        for text in ["data", "/a:b", "/a:/b:ro", ""] {
            assert!(
                parse_volume(text).unwrap_err().contains("/data:/input:rw"),
                "{text}"
            );
        }
    }

    #[test]
    fn flags_come_before_the_file() {
        let file = IsolationConfig {
            task_user: "daemon".to_owned(),
            root_tasks: true,
            ..IsolationConfig::none()
        };
        assert_eq!(Isolation::default().over(file.clone()), file);
        let flags = Isolation {
            isolation: vec!["auto".to_owned()],
            task_user: Some("nobody".to_owned()),
            ..Isolation::default()
        };
        let both = flags.over(file);
        assert_eq!(
            (both.isolators, both.task_user),
            (vec!["auto".to_owned()], "nobody".to_owned())
        );
        assert!(both.root_tasks);
    }
}
