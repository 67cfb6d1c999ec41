//! Writes `docs/figures.md` from `figures.jsonl`: the newest value of each figure, with the machine
//! and the date. `make figures` runs it last.

mod figures;

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

use serde_json::Value;

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
        .unwrap_or_default()
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {}", model.unwrap_or("unknown processor"))
}

fn main() {
    let path = figures::target_dir().join("figures.jsonl");
    let lines = fs::read_to_string(&path).expect("the benches have recorded figures");
    let mut newest = BTreeMap::new();
    for figure in lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        newest.insert(
            figure["name"].as_str().unwrap_or_default().to_owned(),
            figure,
        );
    }
    let mut page = format!(
        "# Figures\n\nWritten by `make figures` on {}, {} ({}). Both sides of a ratio come from the \
         same run; the machine was shared, so CPU times and ratios say more than rates.\n\n\
         | figure | value | unit | beside | commit |\n|---|---|---|---|---|\n",
        said("date", &["-u", "+%Y-%m-%d"]),
        machine(),
        said("rustc", &["--version"]),
    );
    for (name, figure) in newest {
        let value = figure["value"].as_f64().unwrap_or_default();
        let digits = if value < 100.0 { 2 } else { 0 };
        let text = |key: &str| figure[key].as_str().unwrap_or_default().to_owned();
        let (unit, baseline, commit) = (text("unit"), text("baseline"), text("commit"));
        writeln!(
            page,
            "| `{name}` | {value:.digits$} | {unit} | {baseline} | {commit} |"
        )
        .expect("a text takes a line");
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    fs::create_dir_all(&docs).expect("the tree is writable");
    fs::write(docs.join("figures.md"), page).expect("the tree is writable");
}
