//! Tasks in images of a layout.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;
use tepui_isolation::process::family::await_patiently;

use super::{
    cluster::{Cluster, KEEP},
    layout::{self, Layer, Made, base, change},
};

fn start(images: &[(&str, &Made)]) -> Option<(Cluster, String)> {
    let cluster = Cluster::start(KEEP)?;
    // What the task's user may read, it may have.
    fs::set_permissions(cluster.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let path = layout::write(cluster.dir.path(), images);
    Some((cluster, format!("oci:{}", path.display())))
}

#[test]
fn a_task_sees_the_layers_of_its_image_one_over_the_other() {
    let plain = layout::image(vec![base()], json!({}));
    let changed = layout::image(vec![base(), change()], json!(null));
    let Some((cluster, layout)) = start(&[("1", &plain), ("2", &changed)]) else {
        return;
    };
    let see = "cat /etc/release; ls -d /a 2>/dev/null; ls /d /o";
    let run = |name: &str, tag: &str| {
        let image = format!("{layout}:{tag}");
        let seen = cluster.run(name, &["--image", &image, "--", see]);
        seen.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(run("one", "1"), "base /a /d: x y /o: p");
    assert_eq!(run("two", "2"), "changed /d: y z /o: q");
    assert_eq!(
        cluster.stored("l").len(),
        2,
        "the lower layer is there once"
    );
    // Nothing of the machine is there, but what each task has.
    let image = format!("{layout}:1");
    let line = "ls /home /usr /mnt 2>/dev/null; test -w /mnt/sandbox && test -c /dev/null && test ! -e /dev/sda; cat /proc/1/comm";
    let seen = cluster.run("machine", &["--image", &image, "--", line]);
    assert_eq!(
        seen.split_whitespace().collect::<Vec<_>>()[..2],
        ["/mnt:", "sandbox"]
    );
}

#[test]
fn a_task_runs_what_its_image_says_as_docker_would() {
    let made = layout::image(
        vec![base().dir("tmp")],
        json!({
            "Entrypoint": ["/bin/busybox", "echo", "entry"], "Cmd": ["cmd"],
            "Env": ["PATH=/bin", "A=from image", "B=from image"], "WorkingDir": "/w/d", "User": "app",
        }),
    );
    let Some((cluster, layout)) = start(&[("latest", &made)]) else {
        return;
    };
    assert_eq!(cluster.run("own", &["--image", &layout]), "entry cmd\n");
    assert_eq!(
        cluster.run("words", &["--image", &layout, "--", "a", "b c"]),
        "entry a b c\n"
    );
    let line = "id -u; id -g; pwd; echo $A; echo $PATH; test -n \"$TEPUI_SANDBOX\"; echo $HOME";
    let seen = cluster.run("line", &["--image", &layout, "--", line]);
    assert_eq!(seen, "1234\n1235\n/w/d\nfrom image\n/bin\n/mnt/sandbox\n");
    let job = cluster.dir.path().join("j.toml");
    let text = format!(
        "[[group]]\nname = \"run\"\nimage = \"{layout}\"\ncommand = [\"{{index}}\"]\nmem = 64\n\
         [[group]]\nname = \"env\"\nimage = \"{layout}\"\nafter = [\"run\"]\nmem = 64\n\
         command = \"echo $B\"\nenv = {{ B = \"from job\" }}\n"
    );
    fs::write(&job, text).expect("a writable directory");
    let told = cluster.text(&["run", "--job", job.to_str().expect("plain"), "--name", "j"]);
    assert!(told.contains("2 of 2 tasks finished"), "{told}");
    assert_eq!(cluster.text(&["logs", "j.run.0.0"]), "entry 0\n");
    assert_eq!(cluster.text(&["logs", "j.env.0.0"]), "from job\n");
}

#[test]
fn what_a_task_changes_is_its_own_and_goes_with_it() {
    let made = layout::image(vec![base()], json!({ "User": "root" }));
    let Some((cluster, layout)) = start(&[("latest", &made)]) else {
        return;
    };
    // Nobody, as most images do not mean that they want to be root.
    let line = "id -u; touch /tmp/x && ls /tmp; rm /etc/release 2>/dev/null; cat /etc/release";
    for name in ["one", "two"] {
        assert_eq!(
            cluster.run(name, &["--image", &layout, "--", line]),
            "65534\nx\nbase\n"
        );
    }
    let is_released = || cluster.stored("r").is_empty();
    assert!(await_patiently(is_released), "{:?}", cluster.stored("r"));
    // An image comes beside files for the sandbox.
    let words = cluster.dir.path().join("words");
    fs::write(&words, "hello\n").expect("a writable directory");
    let uri = words.display().to_string();
    let line = "cat $TEPUI_SANDBOX/words";
    assert_eq!(
        cluster.run("uri", &["--image", &layout, "--uri", &uri, "--", line]),
        "hello\n"
    );
}

#[test]
fn an_image_that_cannot_be_used_is_told_in_the_status() {
    let good = layout::image(vec![base()], json!({}));
    let mut cut = layout::image(vec![base().file("cut", "")], json!({}));
    let other = layout::image(vec![base().file("other", "")], json!({}));
    let strange = layout::image(vec![base()], json!({ "User": "stranger" }));
    let trap = layout::image(vec![base().link("proc", "/etc")], json!({}));
    let out = layout::image(vec![Layer::new().dir("d")], json!({ "Cmd": ["/none"] }));
    // As a disk would: the size is right, the bytes are not.
    let last = cut.blobs[0].bytes.len() - 9;
    cut.blobs[0].bytes[last] ^= 1;
    let all = [
        ("good", &good),
        ("cut", &cut),
        ("other", &other),
        ("strange", &strange),
        ("trap", &trap),
        ("out", &out),
    ];
    let Some((cluster, layout)) = start(&all) else {
        return;
    };
    let refusal =
        |tag: &str| cluster.refusal(&["--image", &format!("{layout}:{tag}"), "--", "true"]);
    let told = refusal("none");
    assert!(
        told.contains("there is no tag") && told.contains("there are: good, cut"),
        "{told}"
    );
    let told = refusal("cut");
    assert!(
        told.contains("its sha256 is") && told.contains(&format!("cannot use image {layout}:cut")),
        "{told}"
    );
    assert!(refusal("strange").contains("no such user"));
    let told = cluster.text(&[
        "run",
        "--mem",
        "64",
        "--image",
        &format!("{layout}:trap"),
        "--",
        "true",
    ]);
    assert!(told.contains("put the file system together"), "{told}");
    let told = cluster.text(&["run", "--mem", "64", "--image", &format!("{layout}:out")]);
    assert!(told.contains("/none"), "{told}");
    // A layer that is there already counts by what it is.
    assert!(
        cluster.run(
            "good",
            &[
                "--image",
                &format!("{layout}:good"),
                "--",
                "cat /etc/release"
            ]
        ) == "base\n"
    );
    assert!(
        cluster
            .refusal(&["--image", "oci:/not/there", "--", "true"])
            .contains("/not/there/index.json")
    );
    let told = cluster.text(&["run", "--image", "busybox", "--", "true"]);
    assert!(told.contains("HOST[:PORT]/NAME"), "{told}");
    assert!(cluster.stored("tmp").is_empty());
}

#[test]
fn images_that_nobody_uses_go_when_the_disk_is_full() {
    let one = layout::image(vec![base(), Layer::new().file("one", "")], json!({}));
    let two = layout::image(vec![base(), Layer::new().file("two", "")], json!({}));
    // Any disk is too full.
    let Some(cluster) = Cluster::start("image_disk_max = 0.0") else {
        return;
    };
    fs::set_permissions(cluster.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let path = layout::write(cluster.dir.path(), &[("1", &one), ("2", &two)]);
    let image = |tag: &str| format!("oci:{}:{tag}", path.display());
    cluster.run("one", &["--image", &image("1"), "--", "test -e /one"]);
    assert_eq!(cluster.stored("l").len(), 2, "the image in use stays");
    let is_released = || cluster.stored("r").is_empty();
    assert!(await_patiently(is_released));
    cluster.run("two", &["--image", &image("2"), "--", "test -e /two"]);
    // The first one's own layer is gone, the common one is not.
    assert_eq!(cluster.stored("l").len(), 2);
    let index = cluster.dir.path().join("agent/images/index.json");
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(index).expect("it is there")).expect("JSON");
    let images = index["images"].as_object().expect("a map");
    assert_eq!(images.keys().collect::<Vec<_>>(), [&two.manifest.digest]);
}
