//! Killing all descendants of the calling process; alone in its process, since it spares no child.

use std::{collections::BTreeMap, fs};

use tepui_isolation::{
    LaunchSpec, ProcessIdentity,
    process::{STDOUT, family},
};

#[test]
fn orphans_that_left_group_and_environment_are_found_by_their_adopter() {
    family::adopt_orphans().unwrap();
    family::kill_descendants().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let line = "env -i setsid sleep 1000 & echo $!";
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let spec = LaunchSpec::shell(line, environment, dir.path().to_owned());
    spec.launch().unwrap().wait().unwrap();
    let pid = fs::read_to_string(dir.path().join(STDOUT))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    family::kill_descendants().unwrap();
    let left = ProcessIdentity::of(pid).is_some_and(|process| process.is_alive());
    assert!(!left, "process {pid} is left");
}
