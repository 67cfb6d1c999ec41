//! Our container of `true` beside crun's, of the same bundle: start to end, and nothing left.
//!
//! The bundle is the one that `--oci-runtime` gives to crun for that container. crun is started bare, as a shell
//! would start it, with nothing of ours around it; in a mount namespace where the control groups of version 2
//! are out of its sight, as it refuses machines with both versions.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::single::{Bench, sorted};
use crate::figures::{quantile, record, wall};

const PROGRAM: &str = "/usr/bin/crun";
const LAUNCHES: usize = 200;

/// Takes version 2 out of sight, then runs the bundle for each line that it reads.
const SCRIPT: &str = r#"
if grep -q ' - cgroup ' /proc/self/mountinfo; then
    for mount in $(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' /proc/self/mountinfo); do umount -l "$mount"; done
fi
n=0
while read -r line; do
    n=$((n + 1))
    "$0" --root "$1/state" run --bundle "$1" "$2-$n" > "$1/said" 2>&1 < /dev/null
    echo $?
done
"#;

/// A shell that runs a bundle.
struct Shell {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    bundle: PathBuf,
}

impl Shell {
    fn start(bundle: &Path) -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            SCRIPT,
            PROGRAM,
        ]);
        command
            .arg(bundle)
            .arg(format!("bench-{}", std::process::id()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is there");
        let orders = child.stdin.take().expect("stdin is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self {
            child,
            orders,
            answers,
            bundle: bundle.to_owned(),
        }
    }

    /// Milliseconds of one run.
    fn run(&mut self) -> f64 {
        let mut code = String::new();
        let took = wall(|| {
            self.orders.write_all(b"run\n").expect("it reads");
            self.answers.read_line(&mut code).expect("it answers");
        });
        let said = fs::read_to_string(self.bundle.join("said")).unwrap_or_default();
        assert_eq!(code.trim(), "0", "{said}");
        took.as_secs_f64() * 1e3
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours and crun's in turns.
pub(crate) fn beside_crun() {
    if !Path::new(PROGRAM).exists() {
        return println!("left out: crun: there is no {PROGRAM}");
    }
    let (Some(mut ours), Some(mut theirs)) =
        (Bench::with(&["auto"]), Bench::by_runtime(PROGRAM.into()))
    else {
        return;
    };
    let mut shell = Shell::start(&theirs.bundle());
    let [mut mine, mut crun] = [Vec::new(), Vec::new()];
    for _ in 0..LAUNCHES {
        mine.push(ours.launch()[1]);
        crun.push(shell.run());
    }
    drop(shell);
    theirs.clean();
    let (mine, crun) = (sorted(mine), sorted(crun));
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let (mine, crun) = (quantile(&mine, q), quantile(&crun, q));
        let baseline = format!("crun {crun:.2} ms");
        let name = format!("launch/linux/to-gone/{name}/vs-crun");
        record(&name, mine / crun, "ratio", &baseline);
    }
}
