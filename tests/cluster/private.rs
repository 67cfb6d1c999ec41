//! A network of the test's own, and what private networks leave in it.

#![allow(dead_code, reason = "no test needs all of it")]

use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use tepui_isolation::{Containerizer, IsolationConfig, launch::Program};

/// Has this thread, and what it starts, leave the machine's network; false where private networks do not
/// work here.
pub(crate) fn enter() -> bool {
    let (_, off) = Containerizer::new(IsolationConfig::default(), Program::this())
        .expect("the defaults are never refused");
    if let Some(off) = off.iter().find(|off| off.name == "network/private") {
        eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
        return false;
    }
    unshare(CloneFlags::CLONE_NEWNET).expect("root can");
    assert_eq!(said("ip", &["link", "set", "lo", "up"]), "");
    true
}

/// Devices of private networks, and tables of rules.
pub(crate) fn left() -> (Vec<String>, String) {
    (devices(), said("nft", &["list", "tables"]))
}

/// The names of devices of private networks: those of their namespaces as well.
pub(crate) fn devices() -> Vec<String> {
    let links = said("ip", &["-o", "link"]);
    let names = links
        .lines()
        .filter_map(|line| line.split([':', '@']).nth(1));
    let names = names.map(str::trim).filter(|name| name.starts_with("tp"));
    names.map(str::to_owned).collect()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect(program);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
