//! Images made by the test, in the OCI layout.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::EntryType;

const BUSYBOX: &str = "/bin/busybox";

/// Whether there is one that needs no libraries.
pub(crate) fn has_busybox() -> bool {
    let bytes = fs::read(BUSYBOX).unwrap_or_default();
    // A program whose headers name no interpreter (ELF, 64 bits).
    let number = |at: usize, length: usize| {
        let part = bytes.get(at..at + length).unwrap_or_default();
        part.iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    bytes.starts_with(b"\x7fELF\x02") && (0..count).all(|n| number(table + n * size, 4) != 3)
}

/// A layer that is being made.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).expect("a short name");
        if !link.is_empty() {
            header.set_link_name_literal(link).expect("a short name");
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.append(&header, data).expect("memory");
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, text.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", 0o755, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    pub(crate) fn program(self, name: &str) -> Self {
        let bytes = fs::read(BUSYBOX).expect("it is there");
        self.entry(EntryType::Regular, name, "", 0o755, &bytes)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory")
    }
}

/// A small system.
pub(crate) fn base() -> Layer {
    let names = [
        "sh", "cat", "echo", "id", "ls", "pwd", "touch", "true", "test", "env", "rm",
    ];
    let layer = Layer::new()
        .dir("bin")
        .program("bin/busybox")
        .dir("etc")
        .dir("d")
        .dir("o");
    let layer = names.iter().fold(layer, |layer, name| {
        layer.link(&format!("bin/{name}"), "busybox")
    });
    layer
        .file(
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\napp:x:1234:1235::/:/bin/sh\n",
        )
        .file("etc/release", "base\n")
        .file("a", "a\n")
        .file("d/x", "x\n")
        .file("d/y", "y\n")
        .file("o/p", "p\n")
}

/// What changes it: a file gone, one of a directory gone, a directory anew.
pub(crate) fn change() -> Layer {
    let layer = Layer::new()
        .file(".wh.a", "")
        .file("d/.wh.x", "")
        .file("d/z", "z\n");
    let layer = layer.dir("o").file("o/.wh..wh..opq", "").file("o/q", "q\n");
    layer.file("etc/release", "changed\n")
}

/// A blob by its digest.
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let hex: String = digest(&SHA256, &bytes)
            .as_ref()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        Self {
            digest: format!("sha256:{hex}"),
            bytes,
        }
    }

    fn described(&self, kind: &str) -> Value {
        let media = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// An image: its manifest first, then what that names.
pub(crate) struct Made {
    pub(crate) manifest: Blob,
    pub(crate) blobs: Vec<Blob>,
}

/// Makes an image of layers, the lowest first, packed; `run` is the part of its configuration.
pub(crate) fn image(layers: Vec<Layer>, run: Value) -> Made {
    let plain: Vec<Vec<u8>> = layers.into_iter().map(Layer::bytes).collect();
    let diffs: Vec<String> = plain
        .iter()
        .map(|bytes| Blob::new(bytes.clone()).digest)
        .collect();
    let config = json!({
        "architecture": "any", "os": "linux", "config": run,
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let config = Blob::new(config.to_string().into_bytes());
    let packed = plain.into_iter().map(|bytes| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).expect("memory");
        Blob::new(encoder.finish().expect("memory"))
    });
    let packed: Vec<Blob> = packed.collect();
    let layers: Vec<Value> = packed
        .iter()
        .map(|blob| blob.described("layer.v1.tar+gzip"))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.described("config.v1+json"), "layers": layers,
    });
    Made {
        manifest: Blob::new(manifest.to_string().into_bytes()),
        blobs: packed.into_iter().chain([config]).collect(),
    }
}

/// Writes images into a layout that everybody may read.
pub(crate) fn write(dir: &Path, images: &[(&str, &Made)]) -> PathBuf {
    let root = dir.join("layout");
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a writable directory");
    let mut manifests = Vec::new();
    for (tag, made) in images {
        for blob in made.blobs.iter().chain([&made.manifest]) {
            let name = blob.digest.trim_start_matches("sha256:");
            fs::write(blobs.join(name), &blob.bytes).expect("a writable directory");
        }
        let mut described = made.manifest.described("manifest.v1+json");
        described["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        manifests.push(described);
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(root.join("index.json"), index.to_string()).expect("a writable directory");
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("writable");
    root
}
