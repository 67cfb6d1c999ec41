//! What is told of GPUs, by a stand-in for the driver's library, which this test compiles. What a real driver
//! tells is compared with `nvidia-smi` by `make gpu-check`.
//!
//! The stand-in is chosen by an environment variable of the process, so each case runs in one of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tepui_isolation::gpu::{Gpu, Gpus, Meter, MigInstance, discover};
use tepui_protocol::{GpuShare, Usage};

/// Compiles the stand-in, as of an old driver or a new one (`-DOLD`, `-DNEW`).
fn stub(dir: &Path, of_driver: &str) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stub_nvml.c");
    let library = dir.join("libstub.so");
    let compiled = Command::new("cc")
        .args(["-w", of_driver, "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(compiled.expect("a C compiler").success());
    library
}

/// Runs the test of that name in a process of its own, with the stand-in misbehaving as named.
fn alone(test: &str, library: &Path, stub: &str) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--ignored"])
        .env("NVML_STUB", stub)
        .env("NVML_LIBRARY", library)
        .output()
        .expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

fn library() -> PathBuf {
    std::env::var_os("NVML_LIBRARY")
        .expect("run by another test")
        .into()
}

#[test]
fn a_machine_without_a_driver_says_so() {
    let error = discover(Some(Path::new("/none/libnvidia-ml.so"))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no NVIDIA driver on this machine"), "{text}");
    assert!(text.contains("/none/libnvidia-ml.so"), "{text}");
}

#[test]
fn gpus_are_described_by_their_driver() {
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), "-DOLD");
    let part = |index| MigInstance {
        index,
        uuid: format!("MIG-1-{index}"),
        memory_mib: 9856,
    };
    let gpu = |index, minor, instances| Gpu {
        index,
        uuid: format!("GPU-{index}"),
        model: format!("Stub {index}"),
        minor,
        memory_mib: 81_559,
        used_mib: 500,
        busy_percent: Some(42),
        // The stand-in has no such function, as an old driver.
        processes: None,
        instances,
    };
    let expected = Gpus {
        driver: Some("580.1".to_owned()),
        gpus: vec![
            gpu(0, Some(3), None),
            gpu(1, None, Some(vec![part(0), part(1)])),
        ],
    };
    assert_eq!(discover(Some(&library)).unwrap(), expected);
    alone("a_driver_that_is_not_loaded_is_told", &library, "no-driver");
    alone("a_gpu_without_a_uuid_is_told", &library, "mute");
}

#[test]
#[ignore = "run by gpus_are_described_by_their_driver in a process of its own"]
fn a_driver_that_is_not_loaded_is_told() {
    let error = discover(Some(&library())).unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
#[ignore = "run by gpus_are_described_by_their_driver in a process of its own"]
fn a_gpu_without_a_uuid_is_told() {
    let error = discover(Some(&library())).unwrap_err();
    assert!(
        error.to_string().contains("GPU 0 does not tell its UUID"),
        "{error}"
    );
}

#[test]
fn what_a_container_uses_of_a_gpu_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), "-DNEW");
    alone("use_of_whole_and_shared_gpus", &library, "4000");
}

#[test]
#[ignore = "run by what_a_container_uses_of_a_gpu_is_counted in a process of its own"]
fn use_of_whole_and_shared_gpus() {
    let meter = Meter::with(library());
    let used = |shares: &[(&str, u32)], processes: &[u32]| {
        let share = |&(uuid, milli): &(&str, u32)| GpuShare {
            uuid: String::from(uuid),
            milli,
        };
        let mut usage = Usage::default();
        let shares: Vec<GpuShare> = shares.iter().map(share).collect();
        meter.read(&shares, &processes.iter().copied().collect(), &mut usage);
        (usage.gpu_milli, usage.gpu_memory.map(|bytes| bytes >> 20))
    };
    // All of a whole GPU counts: 42 %, 500 MiB.
    assert_eq!(used(&[("GPU-0", 1000)], &[]), (Some(420), Some(500)));
    assert_eq!(
        used(&[("GPU-0", 1000), ("GPU-1", 1000)], &[]),
        (Some(840), Some(1000))
    );
    // Of a shared one, the latest sample and the memory of one's own processes.
    assert_eq!(used(&[("GPU-1", 500)], &[4000, 7]), (Some(310), Some(200)));
    assert_eq!(used(&[("GPU-1", 500)], &[7]), (Some(0), Some(0)));
    assert_eq!(used(&[("GPU-7", 500)], &[4000]), (None, None));
    assert_eq!(used(&[], &[4000]), (None, None));
}
