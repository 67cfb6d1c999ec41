//! Files for tasks as a user of the cluster meets them: a master, an agent and a real HTTP server.

#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use node::{Node, tepui};
use tempfile::TempDir;

/// A cluster in one process, whose agent isolates its tasks where it can.
struct Cluster {
    node: Node,
    dir: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let work_dir = dir.path().join("cluster").display().to_string();
        let arguments = [
            "local",
            "--port",
            "0",
            "--resources",
            "cpus:4;mem:1024",
            "--work-dir",
            &work_dir,
        ];
        let mut command = tepui(&arguments);
        command.stderr(Stdio::null());
        let node = Node::start(command);
        Self { node, dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.node.address]);
        command.args(rest);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    fn text(&self, arguments: &[&str]) -> String {
        let Output { stdout, stderr, .. } = self.output(arguments);
        String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
    }
}

/// Answers `/hello` and, once it is opened, `/slow`.
#[derive(Clone)]
struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = Self {
            port,
            requests: Arc::default(),
            gate: Arc::default(),
        };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8_lossy(&head).into_owned();
        let text = match head.split(' ').nth(1) {
            Some("/hello") => "200 OK\r\nContent-Length: 5\r\n\r\nhello",
            Some("/slow") => "200 OK\r\nContent-Length: 10\r\n\r\n12345",
            _ => "404 Not Found\r\nContent-Length: 0\r\n\r\n",
        };
        let _ = write!(stream, "HTTP/1.1 {text}");
        if head.contains("/slow") {
            let (open, opened) = &*self.gate;
            let waiting = opened.wait_while(open.lock().expect("no panic"), |open| !*open);
            drop(waiting);
            let _ = stream.write_all(b"67890");
        }
    }

    fn open(&self) {
        *self.gate.0.lock().expect("no panic") = true;
        self.gate.1.notify_all();
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

#[test]
fn a_task_finds_its_files() {
    let cluster = Cluster::start();
    let server = Server::start();
    let local = cluster.dir.path().join("words");
    fs::write(&local, "a word\n").expect("a writable directory");
    // What the task's user may read, it may have.
    fs::set_permissions(cluster.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let uris = [
        format!("{},cache,output=tool", server.url("/hello")),
        format!("file://{},executable", local.display()),
    ];
    let line = "cat tool words; test -x words && test -w tool";
    for _ in 0..2 {
        let run = cluster.output(&[
            "run", "--name", "t", "--uri", &uris[0], "--uri", &uris[1], "--", line,
        ]);
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
    assert_eq!(
        server.requests.load(Ordering::SeqCst),
        1,
        "the second time from the cache"
    );
    let job = cluster.dir.path().join("job.toml");
    let text = format!(
        "[[group]]\nname = \"g\"\ncommand = \"test $(cat x) = hello\"\n\
         uris = [{{ value = \"{}\", output = \"x\" }}]\n",
        server.url("/hello")
    );
    fs::write(&job, text).expect("a writable directory");
    let told = cluster.text(&["run", "--job", job.to_str().expect("a plain path")]);
    assert!(told.contains("TASK_FINISHED"), "{told}");
}

#[test]
fn what_cannot_be_fetched_is_told_in_the_status() {
    let cluster = Cluster::start();
    let server = Server::start();
    let missing = server.url("/missing");
    let told = cluster.text(&["run", "--json", "--uri", &missing, "--", "true"]);
    let expected = format!(
        "cannot fetch {missing}: 127.0.0.1:{} answers 404",
        server.port
    );
    assert!(told.contains(&expected), "{told}");
    assert!(told.contains("REASON_CONTAINER_LAUNCH_FAILED"), "{told}");
    let sha = format!("{},sha256={}", server.url("/hello"), "0".repeat(64));
    let told = cluster.text(&["run", "--uri", &sha, "--", "true"]);
    assert!(told.contains("its sha256 is 2cf24dba"), "{told}");
    if nix::unistd::geteuid().is_root() {
        let told = cluster.text(&["run", "--uri", "/etc/shadow", "--", "cat shadow"]);
        assert!(
            told.contains("/etc/shadow") && !told.contains("TASK_RUNNING"),
            "{told}"
        );
    }
    let told = cluster.text(&["run", "--uri", "ftp://x/y", "--", "true"]);
    assert!(told.contains("must begin with http://"), "{told}");
}

#[test]
fn a_task_that_waits_for_its_files_says_so_and_can_be_killed() {
    let cluster = Cluster::start();
    let server = Server::start();
    let slow = server.url("/slow");
    let expected = format!("fetching {slow}: 5 B of 10 B");
    // Does something as soon as the task says how far it is; returns what is told after that.
    let run = |then: &dyn Fn()| {
        let mut command =
            cluster.command(&["run", "--name", "s", "--uri", &slow, "--", "cat slow"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let told = lines.any(|line| line.contains("TASK_STARTING") && line.contains(&expected));
        assert!(told, "it says how far it is");
        then();
        let rest: Vec<String> = lines.collect();
        (child.wait().expect("our child").code(), rest.join("\n"))
    };
    let (code, told) = run(&|| {
        let killed = cluster.output(&["kill", "s.run.0.0"]);
        assert!(
            killed.status.success(),
            "{}",
            String::from_utf8_lossy(&killed.stderr)
        );
    });
    assert_eq!(code, Some(1));
    assert!(told.contains("TASK_KILLED"), "{told}");
    let (code, told) = run(&|| server.open());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("TASK_FINISHED"), "{told}");
}
