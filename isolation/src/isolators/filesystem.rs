//! `filesystem/linux`: a task sees the machine's files, read-only, and writes to its sandbox and
//! its own `/tmp` alone. It does not see the sandboxes of others, nor anything of the agent.
//!
//! A task with an image sees the image's files in place of the machine's, and writes to a layer of its own.
//!
//! The sandbox is at [`SANDBOX`], what it shares with others of its group at [`SHARED`]; variables that name it on the machine are changed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, lchown},
    path::{Path, PathBuf},
};

use caps::Capability;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Bind, Namespace, Plan, Root},
};

/// Where a task sees its sandbox.
const SANDBOX: &str = "/mnt/sandbox";
/// Where it sees the directory that it shares with others.
const SHARED: &str = "/mnt/shared";
/// The directory of the sandbox that is the task's `/tmp`.
const TMP: &str = ".tmp";

#[derive(Debug)]
struct Filesystem {
    work_dir: PathBuf,
    mount_point: PathBuf,
    volumes: Vec<Bind>,
}

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    Machine::capability(Capability::CAP_SYS_ADMIN)?;
    let work_dir = config.work_dir.clone();
    let mount_point = work_dir.join("root");
    fs::create_dir_all(&mount_point)
        .map_err(|error| format!("cannot make {}: {error}", mount_point.display()))?;
    for volume in &config.volumes {
        check(volume)?;
    }
    Ok(Box::new(Filesystem {
        work_dir,
        mount_point,
        volumes: config.volumes.clone(),
    }))
}

fn check(Bind { source, target, .. }: &Bind) -> Result<(), String> {
    let named = source.display();
    if !source.is_absolute() || !target.is_absolute() {
        return Err(format!("volume {named}: its paths must begin with /"));
    }
    fs::metadata(source)
        .map(drop)
        .map_err(|error| format!("volume {named}: {error}"))
}

impl Isolator for Filesystem {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        if !plan.namespaces.contains(&Namespace::Pid) {
            let needs = "filesystem/linux shows the task's own processes: it needs namespaces/pid";
            return Err(IsolatorError::Refused(needs.to_owned()));
        }
        let tmp = container.sandbox.join(TMP);
        let owner = plan.user.as_ref().map(|user| user.uid);
        make_tmp(&tmp, owner).map_err(|source| IsolatorError::File {
            action: "make",
            path: tmp.clone(),
            source,
        })?;
        let shared = container.shared.iter().map(|shared| (shared, SHARED));
        for (path, seen_at) in shared.chain([(&container.sandbox, SANDBOX)]) {
            let on_machine = path.display().to_string();
            for value in plan.environment.values_mut() {
                if *value == on_machine {
                    seen_at.clone_into(value);
                }
            }
        }
        let mut binds = self.volumes.clone();
        binds.extend(container.shared.clone().map(|source| Bind {
            source,
            target: SHARED.into(),
            read_only: false,
        }));
        plan.namespaces.push(Namespace::Mount);
        let image = container.image.as_ref();
        let directory = image.and_then(|image| image.directory.clone());
        plan.directory = directory.unwrap_or_else(|| SANDBOX.into());
        plan.root = Some(Root {
            image: image.map(|image| image.overlay.clone()),
            made: image.and_then(|image| image.directory.clone()),
            mount_point: self.mount_point.clone(),
            sandbox: container.sandbox.clone(),
            sandbox_at: SANDBOX.into(),
            tmp,
            binds,
            hidden: vec![self.work_dir.clone()],
            ..Root::default()
        });
        Ok(())
    }
}

/// What an earlier command left in the same sandbox is used again if it is a directory.
fn make_tmp(tmp: &Path, owner: Option<u32>) -> std::io::Result<()> {
    match fs::symlink_metadata(tmp) {
        Ok(about) if about.is_dir() => {}
        _ => fs::create_dir(tmp)?,
    }
    lchown(tmp, owner, None)?;
    fs::set_permissions(tmp, Permissions::from_mode(0o1777))
}
