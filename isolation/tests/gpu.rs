//! What is told of GPUs: by a stand-in for the driver's library, which this test compiles, and on a machine
//! that has GPUs, by the driver itself beside what `nvidia-smi` says (`make gpu-check`).
//!
//! The stand-in is chosen by an environment variable of the process, so each case runs in one of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tepui_isolation::gpu::{Gpu, Gpus, MigInstance, discover};

/// Compiles the stand-in.
fn stub(dir: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stub_nvml.c");
    let library = dir.join("libstub.so");
    let compiled = Command::new("cc")
        .args(["-w", "-shared", "-fPIC", "-o"])
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
    let library = stub(dir.path());
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

/// Each line of `nvidia-smi` is a GPU that is told of in the same way.
#[test]
#[ignore = "needs an NVIDIA GPU: make gpu-check"]
fn the_driver_and_nvidia_smi_tell_the_same() {
    let fields = "--query-gpu=index,uuid,name,memory.total,driver_version";
    let output = Command::new("nvidia-smi")
        .args([fields, "--format=csv,noheader,nounits"])
        .output()
        .expect("nvidia-smi, which comes with the driver");
    let text = String::from_utf8(output.stdout).expect("text");
    let found = discover(None).unwrap_or_else(|error| panic!("{error}"));
    let driver = found.driver.clone().expect("a version");
    let line = |gpu: &Gpu| {
        let Gpu {
            index,
            uuid,
            model,
            memory_mib,
            ..
        } = gpu;
        format!("{index}, {uuid}, {model}, {memory_mib}, {driver}")
    };
    let ours: Vec<String> = found.gpus.iter().map(line).collect();
    assert!(!ours.is_empty(), "no GPU");
    assert_eq!(ours, text.lines().map(str::trim).collect::<Vec<_>>());
    println!("{found:#?}");
}
