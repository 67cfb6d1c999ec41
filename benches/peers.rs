//! Runs a bench of the package `benches/peers`, which neither tests nor the binary build.

use std::{
    env,
    path::Path,
    process::{Command, exit},
};

/// Runs it with this program's arguments, and ends as it does.
pub(crate) fn run(bench: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["bench", "--locked", "--bench", bench, "--manifest-path"])
        .arg(root.join("benches/peers/Cargo.toml"))
        .arg("--target-dir")
        .arg(target.join("peers"))
        .env("TEPUI_FIGURES", target.join("figures.jsonl"))
        .arg("--")
        .args(
            env::args_os()
                .skip(1)
                .filter(|argument| argument != "--bench"),
        )
        .status()
        .expect("cargo runs this program, so it is there");
    exit(status.code().unwrap_or(1));
}
