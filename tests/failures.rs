//! What becomes of tasks when their machine fails them: each ends with a reason that an operator can act
//! on. The test's threads see mounts of their own, so that nothing of the machine is changed. Needs root and
//! control groups; where they are absent, each test says so in one line.
//!
//! Images and files that are not what they should be are in `tests/images` and `tests/fetch.rs`.

#[path = "cluster/isolated.rs"]
mod isolated;
#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use isolated::Cluster;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use tepui_isolation::cgroup::Mounts;

const TRUE: [&str; 5] = ["run", "--mem", "64", "--", "true"];
const NONE: Option<&str> = None;

/// Has this thread, and what it starts, see mounts of its own from now on.
fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("root can");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE).expect("root can");
}

/// Where memory is limited.
fn memory_groups() -> PathBuf {
    let mounts = Mounts::of_this_process().expect("readable");
    let legacy = mounts.v1.get("memory").cloned();
    legacy.or(mounts.v2).expect("tasks can be isolated")
}

#[test]
fn a_tree_of_control_groups_that_became_read_only_is_told() {
    let Some(cluster) = Cluster::start_in(own_mounts) else {
        return;
    };
    let groups = memory_groups();
    let remount = |read_only| {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | read_only;
        mount(NONE, &groups, NONE, flags, NONE).expect("root can");
    };
    remount(MsFlags::MS_RDONLY);
    let told = cluster.text(&TRUE);
    assert!(
        told.contains("cannot isolate the task: isolator cgroups/")
            && told.contains("that could be written to"),
        "{told}"
    );
    remount(MsFlags::empty());
    let told = cluster.text(&TRUE);
    assert!(told.contains("TASK_FINISHED"), "{told}");
    assert_eq!(cluster.left(), [].into());
}

#[test]
fn a_controller_that_is_missing_is_told_by_the_agent() {
    let Some(cluster) = Cluster::start_in(own_mounts) else {
        return;
    };
    let groups = memory_groups();
    let hidden = mount(
        Some("none"),
        &groups,
        Some("tmpfs"),
        MsFlags::MS_RDONLY,
        NONE,
    );
    hidden.expect("root can");
    nix::mount::umount2(&groups, nix::mount::MntFlags::MNT_DETACH).expect("just mounted");
    nix::mount::umount2(&groups, nix::mount::MntFlags::MNT_DETACH).expect("it was there");
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().to_str().expect("a plain path");
    let agent = |isolation| {
        let mut command = node::tepui(&["agent", "--port", "0", "--work-dir", dir]);
        let output = command.args(["--isolation", isolation]).output();
        output.expect("it runs")
    };
    let parts = ["isolator cgroups/mem: no control groups for Memory"];
    node::assert_failed(&agent("auto,cgroups/mem"), 2, &parts);
    // One that was started before has its tasks end with that.
    let told = cluster.text(&TRUE);
    assert!(told.contains("no control groups for"), "{told}");
}

#[test]
fn a_full_disk_is_told() {
    let Some(cluster) = Cluster::start_in(own_mounts) else {
        return;
    };
    // Full of files, in which the agent's records, which are there already, still have room.
    let sandboxes = Path::new(&cluster.work_dir()).join("sandboxes");
    fs::create_dir_all(&sandboxes).expect("a writable directory");
    let options = Some("nr_inodes=12");
    mount(
        Some("none"),
        &sandboxes,
        Some("tmpfs"),
        MsFlags::empty(),
        options,
    )
    .expect("root can");
    let fill = |n| fs::write(sandboxes.join(format!("file{n}")), "");
    assert!((0..20).any(|n| fill(n).is_err()));
    let told = cluster.text(&TRUE);
    assert!(
        told.contains("cannot make the sandbox") && told.contains("No space left on device"),
        "{told}"
    );
    let tasks = cluster.text(&["tasks", "--json"]);
    assert!(tasks.contains("REASON_CONTAINER_LAUNCH_FAILED"), "{tasks}");
    nix::mount::umount(&sandboxes).expect("nobody is in it");
    let told = cluster.text(&TRUE);
    assert!(told.contains("TASK_FINISHED"), "{told}");
}

#[test]
fn servers_that_are_not_there_and_archives_that_are_too_much_are_told() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for flag in ["--image", "--uri"] {
        let place = match flag {
            "--image" => "127.0.0.1:1/words:1",
            _ => "http://127.0.0.1:1/words",
        };
        let told = cluster.text(&["run", flag, place, "--", "true"]);
        assert!(
            told.contains(place) && told.contains("Connection refused"),
            "{told}"
        );
    }
    let bomb = cluster.dir.path().join("bomb.gz");
    let line = format!("head -c 20m /dev/zero | gzip > {}", bomb.display());
    assert!(
        Command::new("sh")
            .args(["-c", &line])
            .status()
            .is_ok_and(|s| s.success())
    );
    let uri = format!("{},extract", bomb.display());
    let told = cluster.text(&["run", "--uri", &uri, "--", "true"]);
    assert!(
        told.contains("bomb.gz") && told.contains("8 MiB exceeded"),
        "{told}"
    );
    let tasks = cluster.text(&["tasks", "--json"]);
    assert_eq!(
        tasks.matches("REASON_CONTAINER_LAUNCH_FAILED").count(),
        3,
        "{tasks}"
    );
}
