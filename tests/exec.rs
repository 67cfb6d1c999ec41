//! Commands beside tasks, as a user of `tepui exec` and `tepui attach` meets them: with real processes,
//! in containers as far as this machine and user allow that, and without any.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcgetattr, tcsetwinsize},
};
use tepui_isolation::process::family::await_patiently;

/// As tasks run on agents: isolated as far as that works here, and not at all.
const KINDS: [&str; 2] = ["auto", "none"];

fn tepui(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A cluster in one process with one task.
struct Cluster {
    local: Child,
    job: Child,
    address: String,
    /// The task's id.
    task: String,
    _news: BufReader<ChildStdout>,
}

impl Cluster {
    fn start(isolation: &str) -> Self {
        Self::with(isolation, "exec sleep 100000")
    }

    /// With a task that runs that line.
    fn with(isolation: &str, line: &str) -> Self {
        let resources = ["--port", "0", "--resources", "cpus:4;mem:2048"];
        let mut command = tepui(&[&["local", "--isolation", isolation], &resources[..]].concat());
        let local = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut local = local.expect("it starts");
        let stdout = local.stdout.take().expect("stdout is a pipe");
        let said = first_line(&mut BufReader::new(stdout), |_| true);
        let address = said.rsplit(' ').next().unwrap_or_default().to_owned();
        let mut command = tepui(&["run", "--master", &address, "--name", "web", "--mem", "64"]);
        command.args(["--", line]).stdout(Stdio::piped());
        let mut job = command.spawn().expect("it starts");
        let mut news = BufReader::new(job.stdout.take().expect("stdout is a pipe"));
        let line = first_line(&mut news, |line| line.contains("RUNNING"));
        let task = line.split(' ').next().unwrap_or_default().to_owned();
        Self {
            local,
            job,
            address,
            task,
            _news: news,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.address]);
        command.args(rest);
        command
    }

    /// Runs a line of the shell beside the task.
    fn shell(&self, line: &str) -> Output {
        let arguments = ["exec", &self.task, "sh", "-c", line];
        self.command(&arguments).output().expect("it runs")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in [&mut self.job, &mut self.local] {
            // After a wait in a test, there is nobody to signal.
            if let Ok(None) = child.try_wait() {
                signal(child, Signal::SIGINT);
                let _ = child.wait();
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    // One that has ended is not waited for yet, so that its number is still its own.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
}

/// The first line that is meant.
fn first_line(from: &mut impl BufRead, is_meant: impl Fn(&str) -> bool) -> String {
    loop {
        let mut line = String::new();
        let count = from.read_line(&mut line).expect("it can be read");
        assert!(count > 0, "it ended before it said what was expected");
        if is_meant(&line) {
            return line.trim_end().to_owned();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Seconds that nobody else sleeps for.
fn span() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    (10_000_000 * (n + 1) + std::process::id()).to_string()
}

/// Whether anybody sleeps for so long.
fn sleeps(span: &str) -> bool {
    let line = format!("sleep\0{span}\0");
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    entries.into_iter().any(|entry| {
        let line_of = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line_of.ends_with(line.as_bytes())
    })
}

/// Waits for what nobody tells of, as long as a loaded machine may take.
fn comes(what: impl Fn() -> bool) -> bool {
    await_patiently(&what)
}

#[test]
fn a_command_runs_beside_the_task_and_its_exit_code_is_passed_on() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let output = cluster.shell("echo out; echo err >&2; exit 7");
        let seen = (text(&output.stdout), text(&output.stderr));
        assert_eq!(seen, ("out\n".to_owned(), "err\n".to_owned()), "{kind}");
        assert_eq!(output.status.code(), Some(7), "{kind}");
        assert_eq!(
            cluster.shell("kill -9 $$").status.code(),
            Some(137),
            "{kind}"
        );
        assert_eq!(cluster.shell("kill $$").status.code(), Some(143), "{kind}");
        // It has no input unless it is asked for.
        let output = cluster.shell("cat; echo $TEPUI_TASK_ID; echo again > /dev/stdout");
        assert_eq!(
            text(&output.stdout),
            format!("{}\nagain\n", cluster.task),
            "{kind}"
        );
    }
}

/// What identifies a place: user, privileges, file system, processes, groups.
const PLACE: &str = "id; grep -e Cap -e NoNew -e Seccomp: /proc/self/status; ls /; hostname; pwd; \
                     for ns in pid ipc uts mnt cgroup; do readlink /proc/self/ns/$ns; done; \
                     cat /proc/self/cgroup; echo $TEPUI_SANDBOX";

#[test]
fn a_command_is_where_the_task_is() {
    for kind in KINDS {
        let cluster = Cluster::with(kind, &format!("({PLACE}) > place; exec sleep 100000"));
        assert!(comes(|| cluster
            .shell("tail -n 1 place")
            .stdout
            .starts_with(b"/")));
        let place = text(&cluster.shell("cat place").stdout);
        assert_eq!(text(&cluster.shell(PLACE).stdout), place, "{kind}");
    }
}

#[test]
fn what_cannot_be_run_is_told_in_one_line() {
    for kind in KINDS {
        let mut cluster = Cluster::start(kind);
        let refused = |arguments: &[&str], code, parts: &[&str]| {
            let output = cluster.command(arguments).output().expect("it runs");
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            for part in parts {
                assert!(error.contains(part), "{error}");
            }
        };
        let missing = ["error: cannot start \"no-such\"", "No such file"];
        refused(&["exec", &cluster.task, "no-such"], 127, &missing);
        refused(
            &["exec", &cluster.task, "/etc/passwd"],
            126,
            &["Permission denied"],
        );
        refused(&["exec", "web", "true"], 1, &["no task web"]);
        refused(
            &["exec", "-t", &cluster.task, "true"],
            2,
            &["-t", "no terminal"],
        );
        refused(&["exec", &cluster.task], 2, &["COMMAND"]);
        let killed = cluster
            .command(&["kill", &cluster.task])
            .status()
            .expect("it runs");
        assert!(killed.success());
        cluster.job.wait().expect("our child");
        let ended = ["has ended (TASK_KILLED)"];
        let output = cluster.command(&["exec", &cluster.task, "true"]).output();
        let error = text(&output.expect("it runs").stderr);
        assert!(error.contains(ended[0]), "{error}");
    }
}

#[test]
fn large_output_and_input_arrive_as_they_are() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let line = "seq 1 1500000; seq 7 900000 >&2";
        let output = cluster.shell(line);
        let expected = |from: u32, to: u32| {
            let lines = (from..=to).map(|n| format!("{n}\n"));
            lines.collect::<String>().into_bytes()
        };
        assert!(output.stdout == expected(1, 1_500_000), "{kind}");
        assert!(output.stderr == expected(7, 900_000), "{kind}");
        // The input comes back, and its end is the command's.
        let mut command = cluster.command(&["exec", "-i", &cluster.task, "cat"]);
        let copy = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut copy = copy.spawn().expect("it starts");
        let mut stdin = copy.stdin.take().expect("a pipe");
        let sent = expected(1, 900_000);
        let writer = thread::spawn(move || stdin.write_all(&sent).map(|()| sent));
        let mut back = Vec::new();
        let mut stdout = copy.stdout.take().expect("a pipe");
        stdout.read_to_end(&mut back).expect("it can be read");
        let sent = writer.join().expect("no panic").expect("all is taken");
        assert!(back == sent, "{kind}: {} of {}", back.len(), sent.len());
        assert!(copy.wait().expect("our child").success());
    }
}

/// More than all pipes, pieces and sockets on the way hold, and much less than what passes otherwise.
const HELD: usize = 4 << 20;

#[test]
fn who_does_not_read_holds_back_who_writes() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        // A command that does not read, until it has had enough.
        let mut command =
            cluster.command(&["exec", "-i", &cluster.task, "sh", "-c", "sleep 2; exit 3"]);
        let mut deaf = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = deaf.stdin.take().expect("a pipe");
        let piece = vec![b'x'; 64 << 10];
        let mut taken = 0;
        while stdin.write_all(&piece).is_ok() {
            taken += piece.len();
        }
        assert_eq!(deaf.wait().expect("our child").code(), Some(3), "{kind}");
        assert!(taken < HELD, "{kind}: {taken} bytes were taken");
        // A client that does not read.
        let line =
            "n=0; while :; do head -c 65536 /dev/zero; n=$((n+65536)); echo $n > count; done";
        let mut command = cluster.command(&["exec", &cluster.task, "sh", "-c", line]);
        let mut mute = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let count = || {
            let output = cluster.shell("cat count");
            text(&output.stdout).trim().parse().unwrap_or(0_usize)
        };
        assert!(comes(|| count() > 0), "{kind}");
        for _ in 0..10 {
            assert!(count() < HELD, "{kind}");
        }
        signal(&mute, Signal::SIGTERM);
        assert_eq!(mute.wait().expect("our child").code(), Some(143), "{kind}");
    }
}

#[test]
fn a_client_that_ends_takes_its_command_along() {
    for kind in KINDS {
        let mut cluster = Cluster::start(kind);
        for (how, code) in [
            (Signal::SIGINT, Some(130)),
            (Signal::SIGTERM, Some(143)),
            (Signal::SIGHUP, Some(129)),
            (Signal::SIGKILL, None),
        ] {
            let (span, stubborn) = (span(), span());
            // One of them does not heed what it is asked, and is in a session of its own.
            let line = format!("trap '' TERM HUP; setsid sleep {stubborn} & sleep {span}");
            let mut command = cluster.command(&["exec", &cluster.task, "sh", "-c", &line]);
            let mut client = command.spawn().expect("it starts");
            assert!(comes(|| sleeps(&span) && sleeps(&stubborn)), "{kind} {how}");
            signal(&client, how);
            let status = client.wait().expect("our child");
            assert_eq!(status.code(), code, "{kind} {how}");
            assert!(
                comes(|| !sleeps(&span) && !sleeps(&stubborn)),
                "{kind} {how}"
            );
        }
        // So does the end of the task.
        let span = span();
        let mut command = cluster.command(&["exec", &cluster.task, "sleep", &span]);
        let mut client = command.stderr(Stdio::null()).spawn().expect("it starts");
        assert!(comes(|| sleeps(&span)), "{kind}");
        let killed = cluster
            .command(&["kill", &cluster.task])
            .status()
            .expect("it runs");
        assert!(killed.success() && !client.wait().expect("our child").success());
        assert!(comes(|| !sleeps(&span)), "{kind}");
        assert!(!cluster.job.wait().expect("our child").success());
    }
}

/// A terminal with a client on it.
struct Screen {
    keys: File,
    shown: BufReader<File>,
    end: File,
    client: Child,
}

const WINDOW: Winsize = Winsize {
    ws_row: 33,
    ws_col: 101,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

impl Screen {
    /// Runs a line of the shell beside the task, on a terminal.
    fn open(cluster: &Cluster, line: &str) -> Self {
        Self::with(&cluster.command(&["exec", "-it", &cluster.task, "sh", "-c", line]))
    }

    /// Runs that client on a terminal.
    fn with(tepui: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("it is ours");
        tcsetwinsize(&master, WINDOW).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let name = name.to_str().expect("a plain path").to_owned();
        let end = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("its end");
        let stream = || Stdio::from(end.try_clone().expect("a descriptor"));
        // A session of its own on the terminal, so that it is told of changes of the window.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(tepui.get_program())
            .args(tepui.get_args());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let client = command.spawn().expect("setsid is there");
        let keys = File::from(master);
        Self {
            shown: BufReader::new(keys.try_clone().expect("a descriptor")),
            keys,
            end,
            client,
        }
    }

    fn until(&mut self, word: &str) -> String {
        first_line(&mut self.shown, |line| line.contains(word))
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it takes keys");
    }

    fn wait(&mut self) -> ExitStatus {
        self.client.wait().expect("our child")
    }
}

#[test]
fn a_command_has_this_terminal() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let line = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo a terminal; : < /dev/tty && stty size; \
                    read word; echo got $word; echo ready; \
                    until [ \"$(stty size)\" = '40 120' ]; do sleep 0.05; done; echo resized; exit 5";
        let mut screen = Screen::open(&cluster, line);
        let found = tcgetattr(&screen.end).expect("settings");
        screen.until("a terminal");
        assert_eq!(screen.until(" "), "33 101", "{kind}");
        screen.press("word\r");
        // The terminal there shows what is typed, this one does not do it again.
        assert_eq!(screen.until("word"), "word", "{kind}");
        assert_eq!(screen.until("word"), "got word", "{kind}");
        screen.until("ready");
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ..WINDOW
        };
        tcsetwinsize(&screen.keys, size).expect("a size");
        screen.until("resized");
        assert_eq!(screen.wait().code(), Some(5), "{kind}");
        let left = tcgetattr(&screen.end).expect("settings");
        assert_eq!(left.local_modes, found.local_modes, "{kind}");
        assert_eq!(left.input_modes, found.input_modes, "{kind}");
    }
}

#[test]
fn a_command_that_ends_its_own_task_has_an_exit_code() {
    for kind in KINDS {
        let cluster = Cluster::with(kind, "until test -e go; do sleep 0.05; done");
        let output = cluster.shell("echo going; touch go; exec sleep 100000");
        assert_eq!(output.status.code(), Some(128 + 9), "{kind}: {output:?}");
        assert_eq!(text(&output.stdout), "going\n", "{kind}");
    }
}

#[test]
fn a_job_of_one_command_has_this_terminal_and_ends_with_it() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let line = "[ -t 0 ] && [ -t 2 ] && stty size; read word; echo got $word; exit 6";
        let job = ["run", "-it", "--mem", "32", "--name", "shell", "--", line];
        let mut screen = Screen::with(&cluster.command(&job));
        screen.until("33 101");
        let tasks = text(
            &cluster
                .command(&["tasks"])
                .output()
                .expect("it runs")
                .stdout,
        );
        assert!(tasks.contains("shell.run.0.0"), "{tasks}");
        screen.press("word\r");
        screen.until("got word");
        assert_eq!(screen.wait().code(), Some(6), "{kind}");
        let tasks = cluster
            .command(&["tasks", "--live"])
            .output()
            .expect("it runs");
        assert!(!text(&tasks.stdout).contains("shell"), "{tasks:?}");
        // Without a terminal, and with arguments as they are.
        let mut command = cluster.command(&["run", "-i", "--mem", "32", "--", "cat", "-"]);
        let cat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut cat = cat.expect("it starts");
        let mut input = cat.stdin.take().expect("stdin is a pipe");
        input.write_all(b"from here\n").expect("it reads");
        drop(input);
        let output = cat.wait_with_output().expect("our child");
        assert_eq!(text(&output.stdout), "from here\n", "{kind}");
        assert!(output.status.success(), "{kind}");
        let refused = cluster
            .command(&["run", "-t", "--", "true"])
            .output()
            .expect("it runs");
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains("no terminal"), "{refused:?}");
    }
}

#[test]
fn keys_that_mean_signals_reach_the_command_and_the_terminal_is_given_back() {
    let cluster = Cluster::start("auto");
    let line = "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut screen = Screen::open(&cluster, line);
    screen.until("ready");
    screen.press("\u{3}");
    assert_eq!(screen.wait().code(), Some(9));
    // A client that is ended leaves the terminal as it was, and no command behind.
    let span = span();
    let mut screen = Screen::open(&cluster, &format!("echo ready; sleep {span}"));
    let raw = |screen: &Screen| tcgetattr(&screen.end).expect("settings").local_modes;
    screen.until("ready");
    let in_use = raw(&screen);
    signal(&screen.client, Signal::SIGTERM);
    assert_eq!(screen.wait().code(), Some(143));
    assert_ne!(raw(&screen), in_use);
    assert!(comes(|| !sleeps(&span)));
}

#[test]
fn an_attached_client_sees_what_the_task_writes_and_ends_as_it_does() {
    let line =
        "echo before; until test -e go; do sleep 0.05; done; echo after; echo err >&2; exit 4";
    let mut cluster = Cluster::with("auto", line);
    let mut all = cluster.command(&["attach", "--all", &cluster.task]);
    let mut all = all
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut shown = BufReader::new(all.stdout.take().expect("a pipe"));
    first_line(&mut shown, |line| line == "before\n");
    let later = cluster
        .command(&["attach", &cluster.task])
        .stdout(Stdio::piped())
        .spawn();
    // The task may end, and this with it, before it is told how it ended.
    cluster.shell("touch go");
    first_line(&mut shown, |line| line == "after\n");
    let output = all.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(4), "{}", output.status);
    assert_eq!(text(&output.stderr), "err\n");
    let later = later
        .expect("it starts")
        .wait_with_output()
        .expect("it ends");
    assert!(later.status.signal().is_none() && later.status.code() == Some(4));
    assert!(!cluster.job.wait().expect("our child").success());
    let output = cluster
        .command(&["attach", "web"])
        .output()
        .expect("it runs");
    assert!(text(&output.stderr).contains("no task web"));
}
