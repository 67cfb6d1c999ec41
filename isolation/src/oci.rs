//! A plan as OCI runtimes read it: the `config.json` of a bundle.
//!
//! Owns the translation alone; `isolators/oci.rs` writes it, `launch/runtime.rs` starts the runtime.
//! What differs is in docs/isolation.md, and `tests/parity.rs` compares both ways of launching.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::stat;
use serde_json::{Value, json};

use crate::launch::{
    Bind, Namespace, Plan, Root, Syscalls, places, shows_machine, syscalls_as_oci,
};

//= oci-runtime-spec, config.md
const VERSION: &str = "1.0.2";

/// A directory at the top of the machine that is seen read-only.
pub(crate) type Entry = PathBuf;

/// The configuration for a plan with that file system, in that control group.
pub(crate) fn config(plan: &Plan, root: &Root, group: &Path, entries: &[Entry]) -> Value {
    let places = places();
    let under =
        |paths: &[&str]| -> Vec<String> { paths.iter().map(|path| format!("/{path}")).collect() };
    let mut linux = json!({
        "cgroupsPath": group,
        "resources": { "devices": devices(root) },
        "namespaces": plan.namespaces.iter().map(|kind| namespace(plan, *kind)).collect::<Vec<_>>(),
        "maskedPaths": under(places.masked),
        "readonlyPaths": under(places.read_only),
    });
    if let Some(Syscalls::Default) = plan.syscalls {
        linux["seccomp"] = syscalls_as_oci();
    }
    json!({
        "ociVersion": VERSION,
        "hostname": plan.hostname,
        "root": { "path": "rootfs", "readonly": root.image.is_none() },
        "process": process(plan),
        "mounts": mounts(root, entries),
        "linux": linux,
    })
}

/// None but those that runtimes allow anyway, and the container's own.
fn devices(root: &Root) -> Vec<Value> {
    let own = root.devices.iter().filter_map(|device| {
        let number = std::fs::metadata(&device.source).ok()?.rdev();
        let (major, minor) = (stat::major(number), stat::minor(number));
        Some(json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": "rw" }))
    });
    let none = json!({ "allow": false, "access": "rwm" });
    std::iter::once(none).chain(own).collect()
}

fn namespace(plan: &Plan, namespace: Namespace) -> Value {
    let kind = match namespace {
        Namespace::Pid => "pid",
        Namespace::Ipc => "ipc",
        Namespace::Uts => "uts",
        Namespace::Mount => "mount",
        Namespace::Cgroup => "cgroup",
        Namespace::Network => "network",
    };
    match &plan.network {
        // It is there, with all that belongs into it.
        Some(own) if namespace == Namespace::Network => {
            json!({ "type": kind, "path": own.namespace })
        }
        _ => json!({ "type": kind }),
    }
}

fn process(plan: &Plan) -> Value {
    let arguments = std::iter::once(&plan.program).chain(&plan.arguments);
    let environment = plan.environment.iter();
    let names = plan.capabilities.iter().flatten();
    let capabilities: Vec<String> = names.map(|name| caps::to_canonical(name)).collect();
    let user = plan.user.clone().unwrap_or(crate::launch::User {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
    });
    let limits = plan
        .rlimits
        .iter()
        .map(|limit| json!({ "type": limit.name, "soft": limit.soft, "hard": limit.hard }));
    let mut process = json!({
        "terminal": false,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": arguments.collect::<Vec<_>>(),
        "env": environment.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "cwd": plan.directory,
        "rlimits": limits.collect::<Vec<_>>(),
        "noNewPrivileges": plan.no_new_privileges || plan.syscalls.is_some(),
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "inheritable": capabilities,
            "permitted": capabilities, "ambient": capabilities,
        },
    });
    if let Some(score) = plan.oom_score_adj {
        process["oomScoreAdj"] = score.into();
    }
    process
}

fn mounts(root: &Root, entries: &[Entry]) -> Vec<Value> {
    let mut mounts: Vec<Value> = entries
        .iter()
        .map(|path| bind(path, path, &["rro", "rnosuid", "rnodev"]))
        .collect();
    let empty = |path: &PathBuf| {
        let options = ["ro", "nosuid", "nodev", "noexec", "mode=555", "size=4k"];
        mount("tmpfs", path, &options)
    };
    if root.image.is_none() {
        let seen = root.hidden.iter().filter(|path| shows_machine(path));
        mounts.extend(seen.map(empty));
    }
    let sealed = ["nosuid", "nodev", "noexec"];
    let at = Path::new;
    mounts.push(mount("proc", at("/proc"), &sealed));
    mounts.push(mount(
        "sysfs",
        at("/sys"),
        &["ro", "nosuid", "nodev", "noexec"],
    ));
    mounts.push(mount(
        "tmpfs",
        at("/dev"),
        &["nosuid", "noexec", "mode=755", "size=64k"],
    ));
    let terminals = [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    mounts.push(mount("devpts", at("/dev/pts"), &terminals));
    let shared = ["nosuid", "nodev", "noexec", "mode=1777", "size=64m"];
    mounts.push(mount("tmpfs", at("/dev/shm"), &shared));
    let devices = root.devices.iter();
    mounts.extend(devices.map(|device| bind(&device.source, &device.target, &["nosuid"])));
    let writable = ["nosuid", "nodev"];
    mounts.push(bind(&root.sandbox, &root.sandbox_at, &writable));
    mounts.push(bind(&root.tmp, at("/tmp"), &writable));
    if root.image.is_none() && at("/var/tmp").is_dir() {
        mounts.push(bind(&root.tmp, at("/var/tmp"), &writable));
    }
    for tmpfs in &root.tmpfs {
        let size = format!("size={}", tmpfs.bytes);
        mounts.push(mount(
            "tmpfs",
            &tmpfs.target,
            &["nosuid", "nodev", "mode=1777", &size],
        ));
    }
    for Bind {
        source,
        target,
        read_only,
    } in &root.binds
    {
        let options: &[&str] = match read_only {
            true => &["rro", "rnosuid", "rnodev"],
            false => &writable,
        };
        mounts.push(bind(source, target, options));
    }
    mounts.extend(names_of_machine(root));
    mounts
}

/// Who is who in the network: an image knows nothing of it, and the machine's file may be elsewhere.
fn names_of_machine(root: &Root) -> Vec<Value> {
    let files = ["/etc/resolv.conf", "/etc/hosts"].map(Path::new);
    let read_only = ["rro", "rnosuid", "rnodev"];
    if root.image.is_some() {
        let there = files.into_iter().filter(|file| file.is_file());
        return there.map(|file| bind(file, file, &read_only)).collect();
    }
    let real = std::fs::canonicalize(files[0]).ok();
    let elsewhere = real.filter(|real| real.starts_with("/run"));
    elsewhere
        .iter()
        .map(|real| bind(real, real, &read_only))
        .collect()
}

fn mount(kind: &str, target: &Path, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": kind, "options": options })
}

fn bind(source: &Path, target: &Path, options: &[&str]) -> Value {
    let options: Vec<&str> = std::iter::once("rbind")
        .chain(options.iter().copied())
        .collect();
    json!({ "destination": target, "type": "bind", "source": source, "options": options })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::User;

    #[test]
    fn a_plan_is_told_with_its_limits_and_its_file_system() {
        let plan = Plan {
            program: "/bin/x".to_owned(),
            arguments: vec!["a".to_owned()],
            directory: "/mnt/sandbox".into(),
            namespaces: vec![Namespace::Pid, Namespace::Mount],
            oom_score_adj: Some(300),
            user: Some(User {
                uid: 7,
                gid: 8,
                groups: vec![9],
            }),
            capabilities: Some(vec!["KILL".to_owned()]),
            syscalls: Some(Syscalls::Default),
            ..Plan::default()
        };
        let root = Root {
            sandbox: "/s".into(),
            sandbox_at: "/mnt/sandbox".into(),
            tmp: "/s/.tmp".into(),
            hidden: vec!["/work".into()],
            ..Root::default()
        };
        let config = config(&plan, &root, Path::new("/tepui/c/oci"), &["/usr".into()]);
        assert_eq!(config["process"]["args"], json!(["/bin/x", "a"]));
        let user = json!({ "uid": 7, "gid": 8, "additionalGids": [9] });
        assert_eq!(config["process"]["user"], user);
        let bounding = &config["process"]["capabilities"]["bounding"];
        assert_eq!(*bounding, json!(["CAP_KILL"]));
        assert_eq!(config["process"]["noNewPrivileges"], json!(true));
        assert_eq!(config["process"]["oomScoreAdj"], json!(300));
        assert_eq!(config["linux"]["cgroupsPath"], json!("/tepui/c/oci"));
        let namespaces = json!([{ "type": "pid" }, { "type": "mount" }]);
        assert_eq!(config["linux"]["namespaces"], namespaces);
        let mounts = config["mounts"].as_array().unwrap();
        let at = |path: &str| mounts.iter().position(|mount| mount["destination"] == path);
        assert!(
            at("/usr") < at("/work") && at("/work").is_some(),
            "hidden over what is bound"
        );
        let sandbox = &mounts[at("/mnt/sandbox").unwrap()];
        assert_eq!(sandbox["options"], json!(["rbind", "nosuid", "nodev"]));
        let refused = config["linux"]["seccomp"]["syscalls"][0]["names"].as_array();
        assert!(refused.unwrap().contains(&json!("mount")));
    }
}
