//! Tasks in images of a real registry (`docker-registry`), on loopback.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use super::{
    cluster::{Cluster, KEEP},
    layout::{self, Made, base},
};

/// `user:secret`, as bcrypt and in base64.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const BASE64: &str = "dXNlcjpzZWNyZXQ=";

struct Registry {
    child: Child,
    address: String,
    secret: Option<&'static str>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// None where there is no such program.
    fn start(dir: &Path, is_closed: bool) -> Option<Self> {
        let path = |name: &str| dir.join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            path("registry")
        );
        if is_closed {
            fs::write(path("htpasswd"), HTPASSWD).expect("a writable directory");
            config += &format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                path("htpasswd")
            );
        }
        fs::write(path("registry.yml"), config).expect("a writable directory");
        let mut command = Command::new("docker-registry");
        command
            .args(["serve", &path("registry.yml")])
            .stdin(Stdio::null());
        let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() else {
            eprintln!("SKIPPED: there is no docker-registry");
            return None;
        };
        let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.trim_matches('"').split(['"', ' ']).next()?.to_owned())
        });
        // It goes on writing.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            address: address.expect("it says where it listens"),
            secret: is_closed.then_some(BASE64),
        })
    }

    /// Sends a request and returns the whole answer.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let secret = self
            .secret
            .map(|secret| format!("Authorization: Basic {secret}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n{}Content-Length: {}\r\n\r\n",
            self.address,
            secret.unwrap_or_default(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn push(&self, name: &str, tag: &str, made: &Made) {
        for blob in &made.blobs {
            let begun = self.ask(
                "POST",
                &format!("/v2/{name}/blobs/uploads/"),
                "text/plain",
                b"",
            );
            let location = begun
                .lines()
                .find_map(|line| line.strip_prefix("Location: "));
            let location = location.unwrap_or_else(|| panic!("{begun}")).trim();
            let path = location.split_once("://").map_or(location, |(_, rest)| {
                &rest[rest.find('/').expect("a path")..]
            });
            let path = format!("{path}&digest={}", blob.digest);
            let put = self.ask("PUT", &path, "application/octet-stream", &blob.bytes);
            assert!(put.starts_with("HTTP/1.1 201"), "{put}");
        }
        let path = format!("/v2/{name}/manifests/{tag}");
        let put = self.ask(
            "PUT",
            &path,
            "application/vnd.oci.image.manifest.v1+json",
            &made.manifest.bytes,
        );
        assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    }
}

#[test]
fn a_task_runs_in_an_image_of_a_registry_and_again_without_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (Some(registry), Some(cluster)) =
        (Registry::start(dir.path(), false), Cluster::start(KEEP))
    else {
        return;
    };
    let first = layout::image(vec![base()], json!({ "Cmd": ["/bin/cat", "/etc/release"] }));
    registry.push("test/words", "1", &first);
    let image = format!("{}/test/words:1", registry.address);
    assert_eq!(cluster.run("first", &["--image", &image]), "base\n");
    // The tag moves on: the agent has one of that name, unless it is told to ask.
    let second = layout::image(
        vec![base(), layout::change()],
        json!({ "Cmd": ["/bin/cat", "/etc/release"] }),
    );
    registry.push("test/words", "1", &second);
    assert_eq!(cluster.run("cached", &["--image", &image]), "base\n");
    assert_eq!(
        cluster.run("pulled", &["--image", &image, "--pull"]),
        "changed\n"
    );
    let by_digest = format!("{}/test/words@{}", registry.address, first.manifest.digest);
    assert_eq!(cluster.run("digest", &["--image", &by_digest]), "base\n");
    let missing = format!("{}/test/words:2", registry.address);
    assert!(
        cluster
            .refusal(&["--image", &missing])
            .contains("the registry has no test/words:2")
    );
    // A layer that the registry's disk has spoiled.
    let third = layout::image(
        vec![base(), layout::Layer::new().file("new", "new\n")],
        json!({}),
    );
    registry.push("test/words", "3", &third);
    let hex = third.blobs[1].digest.trim_start_matches("sha256:");
    let data = dir
        .path()
        .join("registry/docker/registry/v2/blobs/sha256")
        .join(&hex[..2])
        .join(hex)
        .join("data");
    let mut bytes = fs::read(&data).expect("it is there");
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    fs::write(&data, bytes).expect("ours");
    let spoiled = format!("{}/test/words:3", registry.address);
    let told = cluster.refusal(&["--image", &spoiled]);
    assert!(told.contains("its sha256 is"), "{told}");
    drop(registry);
    assert_eq!(cluster.run("without", &["--image", &image]), "changed\n");
    let told = cluster.refusal(&["--image", &image, "--pull"]);
    assert!(told.contains("cannot connect"), "{told}");
}

#[test]
fn a_closed_registry_wants_to_know_who_asks() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(registry) = Registry::start(dir.path(), true) else {
        return;
    };
    let file = dir.path().join("credentials.json");
    let auths = json!({ "auths": { &registry.address: { "auth": BASE64 } } });
    fs::write(&file, auths.to_string()).expect("a writable directory");
    let fetch = format!("{KEEP}\nregistry_credentials = \"{}\"", file.display());
    let (Some(known), Some(stranger)) = (Cluster::start(&fetch), Cluster::start(KEEP)) else {
        return;
    };
    let made = layout::image(vec![base()], json!({ "Cmd": ["/bin/cat", "/etc/release"] }));
    registry.push("private", "latest", &made);
    let image = format!("{}/private", registry.address);
    assert_eq!(known.run("known", &["--image", &image]), "base\n");
    let told = stranger.refusal(&["--image", &image]);
    assert!(told.contains("wants to know who asks"), "{told}");
}
