//! One launch at a time: until the program is executed, and until nothing of its container is left.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ring::digest::{SHA256, digest};
use serde_json::json;
use tepui_fetch::{FetchConfig, Images, Work};
use tepui_isolation::{
    Container, Containerizer, Image, IsolationConfig, LaunchSpec, launch::Program,
};
use tepui_protocol::provision::ImageInfo;

use crate::figures::{quantile, record, wall};

const BINARY: &str = env!("CARGO_BIN_EXE_tepui");
const LAUNCHES: usize = 200;
const BALLAST: usize = 512 << 20;

/// What is launched, and in what.
pub(super) struct Bench {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
    launches: usize,
    /// Whether launchers are started ahead, as executors do.
    ahead: bool,
    /// What containers see in place of the machine's files.
    images: Option<Images>,
}

impl Bench {
    /// None when some of the isolators do not work here.
    pub(super) fn with(isolators: &[&str]) -> Option<Self> {
        let isolators = isolators.iter().map(|&name| name.to_owned()).collect();
        Self::configured(IsolationConfig {
            isolators,
            ..IsolationConfig::default()
        })
    }

    /// With all isolators, by an OCI runtime.
    pub(super) fn by_runtime(program: PathBuf) -> Option<Self> {
        Self::configured(IsolationConfig {
            oci_runtime: Some(program),
            ..IsolationConfig::default()
        })
    }

    fn configured(config: IsolationConfig) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let config = IsolationConfig {
            work_dir: dir.path().to_owned(),
            ..config
        };
        let launcher = Program {
            path: BINARY.into(),
            arguments: vec!["launch".to_owned()],
        };
        let (containerizer, off) = Containerizer::new(config, launcher).expect("known isolators");
        if let Some(off) = off.first() {
            println!("left out: isolator {}: {}", off.name, off.reason);
            return None;
        }
        containerizer.get_ready();
        Some(Self {
            dir,
            containerizer,
            launches: 0,
            ahead: true,
            images: None,
        })
    }

    /// The same without launchers that wait.
    fn cold(self) -> Self {
        Self {
            ahead: false,
            ..self
        }
    }

    /// The same with an image of one layer, which is a static busybox.
    fn with_image(self) -> Option<Self> {
        let busybox = fs::read("/bin/busybox").unwrap_or_default();
        if busybox.is_empty() {
            println!("left out: image: there is no /bin/busybox");
            return None;
        }
        layout(&self.dir.path().join("layout"), &busybox);
        let images = Images::open(self.dir.path(), FetchConfig::default()).expect("a store");
        Some(Self {
            images: Some(images),
            ..self
        })
    }

    /// The image for a container, as its agent lays it out before the launch.
    fn image(&self, name: &str) -> Option<Image> {
        let images = self.images.as_ref()?;
        let path = self.dir.path().join("layout");
        let wanted = ImageInfo::new(format!("oci:{}", path.display()));
        let taken = images.take(&wanted, None, name, &Work::default());
        Some(taken.expect("the image can be used"))
    }

    /// A container with a fresh sandbox, and `true` in it.
    fn next(&mut self) -> (Container, LaunchSpec) {
        self.launches += 1;
        let name = format!("c{}", self.launches);
        let sandbox = self.dir.path().join("sandboxes").join(&name);
        fs::create_dir_all(&sandbox).expect("a sandbox");
        let image = self.image(&name);
        let program = if image.is_some() {
            "/true"
        } else {
            "/bin/true"
        };
        let container = Container {
            name,
            image,
            sandbox: sandbox.clone(),
            milli_cpus: 1000,
            memory: Some(128 << 20),
            ..Container::default()
        };
        let spec = LaunchSpec::new(program.to_owned(), vec![], BTreeMap::new(), sandbox);
        (container, spec)
    }

    /// The bundle of such a container, which its runtime has run once; it stays as long as this value.
    pub(super) fn bundle(&mut self) -> PathBuf {
        let (container, spec) = self.next();
        let launched = self.containerizer.launch(&container, &spec);
        let outcome = launched.expect("it is launched").wait();
        let outcome = outcome.expect("our child");
        assert!(outcome.ended.is_success(), "{outcome:?}");
        self.dir.path().join("oci").join(&container.name)
    }

    /// Removes what is left of the latest container.
    pub(super) fn clean(&self) {
        let name = format!("c{}", self.launches);
        self.containerizer.destroy(&name).expect("nothing is left");
    }

    /// Launches `true` once, in a fresh sandbox: milliseconds until it is executed, and until all
    /// of it is gone.
    pub(super) fn launch(&mut self) -> [f64; 2] {
        let (container, spec) = self.next();
        let mut launched = None;
        let executed = wall(|| {
            let running = self.containerizer.launch(&container, &spec);
            launched = Some(running.expect("it is launched"));
        });
        let ended = wall(|| {
            let outcome = launched.take().map(|launched| launched.wait());
            let outcome = outcome.and_then(Result::ok).expect("it ends");
            assert!(outcome.ended.is_success(), "{outcome:?}");
            self.containerizer
                .destroy(&container.name)
                .expect("nothing is left");
        });
        if let Some(images) = &self.images {
            images.release(&container.name);
        }
        if self.ahead {
            self.containerizer.get_ready();
        }
        [executed, executed + ended].map(|span| span.as_secs_f64() * 1e3)
    }
}

/// Writes a layout with one image: the program under the name `true`.
fn layout(path: &Path, program: &[u8]) {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(program.len() as u64);
    layer
        .append_data(&mut header, "true", program)
        .expect("memory");
    let layer = layer.into_inner().expect("memory");
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    let blob = |bytes: &[u8]| {
        let digest = digest(&SHA256, bytes);
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        fs::write(blobs.join(&hex), bytes).expect("a directory");
        json!({ "digest": format!("sha256:{hex}"), "size": bytes.len() })
    };
    let layer = blob(&layer);
    let config = json!({ "rootfs": { "diff_ids": [layer["digest"]] } });
    let config = blob(config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = blob(manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(path.join("index.json"), index.to_string()).expect("a directory");
}

/// The same without any container.
fn bare() -> [f64; 2] {
    let mut child = None;
    let executed = wall(|| {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        child = Some(command.spawn().expect("it is there"));
    });
    let ended = wall(|| {
        let status = child.take().expect("it was spawned").wait();
        assert!(status.expect("our child").success());
    });
    [executed, executed + ended].map(|span| span.as_secs_f64() * 1e3)
}

pub(super) fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// All cases in turns, so that a busy moment of the machine is one of each.
fn measure(
    suffix: &str,
    [posix, cold]: [&mut Bench; 2],
    linux: &mut Option<Bench>,
    image: &mut Option<Bench>,
) {
    let [mut floor_executed, mut floor_ended, mut executed, mut ended] = [const { Vec::new() }; 4];
    let [mut over_image, mut executed_cold] = [const { Vec::new() }; 2];
    for _ in 0..LAUNCHES {
        let [bare_executed, bare_ended] = bare();
        floor_executed.push(bare_executed);
        floor_ended.push(bare_ended);
        executed.push(posix.launch()[0]);
        executed_cold.push(cold.launch()[0]);
        ended.extend(linux.as_mut().map(|linux| linux.launch()[1]));
        over_image.extend(image.as_mut().map(|image| image.launch()[1]));
    }
    let rows = [
        ("launch/posix/to-exec", executed, floor_executed.clone()),
        ("launch/posix/cold/to-exec", executed_cold, floor_executed),
        ("launch/linux/to-gone", ended, floor_ended.clone()),
        ("launch/image/to-gone", over_image, floor_ended),
    ];
    for (name, times, floor) in rows {
        if times.is_empty() {
            continue;
        }
        let (times, floor) = (sorted(times), sorted(floor));
        for (quantile_name, q) in [("p50", 0.5), ("p99", 0.99)] {
            let floor = quantile(&floor, q);
            let baseline = format!("posix_spawn {floor:.3} ms");
            let name = format!("{name}{suffix}/{quantile_name}");
            record(&name, quantile(&times, q), "ms", &baseline);
            if suffix.is_empty() {
                let ratio = quantile(&times, q) / floor;
                record(&format!("{name}/vs-posix-spawn"), ratio, "ratio", &baseline);
            }
        }
    }
}

/// All rows, and again with 512 MiB in use.
pub(crate) fn run() {
    let unprivileged = ["posix/rlimits", "linux/nnp", "linux/seccomp", "disk/du"];
    let [mut posix, cold] =
        [(); 2].map(|()| Bench::with(&unprivileged).expect("it needs no privileges"));
    let mut cold = cold.cold();
    let mut linux = Bench::with(&["auto"]);
    let mut image = Bench::with(&["auto"]).and_then(Bench::with_image);
    measure("", [&mut posix, &mut cold], &mut linux, &mut image);
    let ballast = std::hint::black_box(vec![1u8; BALLAST]);
    measure("/rss-512", [&mut posix, &mut cold], &mut linux, &mut image);
    drop(ballast);
}
