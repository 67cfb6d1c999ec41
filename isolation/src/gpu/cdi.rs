//! Specifications of the Container Device Interface (CDI 0.x and 1.x): which device nodes, files and
//! variables a container with a GPU needs, as `nvidia-ctk cdi generate` writes them down.
//!
//! Variables, device nodes and mounts are taken; hooks are not run, as tasks see the machine's own
//! libraries. Files of other vendors are passed over.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

//= cdi, 1.0: where files lie, what is in them, which comes first
/// The kind of device that is looked for.
const KIND: &str = "nvidia.com/gpu";
/// The largest file that is read; one for eight GPUs has about 200 KiB.
const FILE_MAX: u64 = 4 << 20;
/// Where specifications lie; those of later directories come first.
pub const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// What specifications say of GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cdi {
    /// Those that come first, first.
    specs: Vec<Spec>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    kind: String,
    #[serde(default)]
    devices: Vec<Named>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    /// Variables, as `NAME=value`.
    pub env: Vec<String>,
    /// Device nodes.
    pub device_nodes: Vec<Node>,
    /// Files and directories.
    pub mounts: Vec<Mount>,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// As the container sees it.
    pub path: PathBuf,
    /// On the machine; the same where absent.
    #[serde(default)]
    pub host_path: Option<PathBuf>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// On the machine.
    pub host_path: PathBuf,
    /// As the container sees it.
    pub container_path: PathBuf,
    /// As for `mount`; read-only unless `rw` is among them.
    #[serde(default)]
    pub options: Vec<String>,
}

impl Cdi {
    /// Reads the specifications in `directories`, and tells which cannot be read and why.
    pub fn read(directories: &[PathBuf]) -> (Self, Vec<String>) {
        let (mut found, mut problems) = (Self::default(), Vec::new());
        for path in directories.iter().rev().flat_map(|dir| files(dir)) {
            match read(&path) {
                Ok(cdi) => found.specs.extend(cdi.specs),
                Err(problem) => problems.push(format!("{}: {problem}", path.display())),
            }
        }
        (found, problems)
    }

    /// Reads one specification, in JSON or YAML.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn of(text: &str) -> Result<Self, String> {
        let spec: Spec = parse(text)?;
        let specs = (spec.kind == KIND).then_some(spec).into_iter().collect();
        Ok(Self { specs })
    }

    /// Whether a device of one of these names is specified.
    pub fn knows(&self, names: [&str; 2]) -> bool {
        self.find(names).is_some()
    }

    /// What containers with these devices get, each known by one of its names; none if one is not
    /// specified.
    pub fn edits<'a>(&self, devices: impl IntoIterator<Item = [&'a str; 2]>) -> Option<Edits> {
        let mut all = Edits::default();
        let mut general: Vec<&Spec> = Vec::new();
        for names in devices {
            let (spec, device) = self.find(names)?;
            all.add(&device.container_edits);
            if !general.contains(&spec) {
                general.push(spec);
                all.add(&spec.container_edits);
            }
        }
        Some(all)
    }

    fn find(&self, names: [&str; 2]) -> Option<(&Spec, &Named)> {
        // The UUID of a device means the same in every file, its number perhaps not.
        names.iter().find_map(|name| {
            self.specs.iter().find_map(|spec| {
                let device = spec.devices.iter().find(|device| device.name == *name)?;
                Some((spec, device))
            })
        })
    }
}

impl Edits {
    fn add(&mut self, more: &Edits) {
        self.env.extend(more.env.iter().cloned());
        for node in &more.device_nodes {
            if !self.device_nodes.contains(node) {
                self.device_nodes.push(node.clone());
            }
        }
        for mount in &more.mounts {
            if !self.mounts.contains(mount) {
                self.mounts.push(mount.clone());
            }
        }
    }

    /// The variables by name; what is not `NAME=value` is passed over.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let pairs = self.env.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// The specifications of a directory, by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_spec = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("json" | "yaml" | "yml"))
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_spec).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Cdi, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_MAX {
        return Err(format!("has {size} bytes, more than {FILE_MAX}"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    Cdi::of(&text)
}

/// JSON is YAML, too, but is read faster as what it is.
fn parse(text: &str) -> Result<Spec, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        // Lines of the file follow.
        let told = error.to_string();
        told.lines().next().unwrap_or_default().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `nvidia-ctk cdi generate` writes it, shortened.
    const YAML: &str = r#"---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: GPU-b
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia1
      hostPath: /host/nvidia1
      type: c
      major: 195
    - path: /dev/dri/card1
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  - broken
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook]
  mounts:
  - hostPath: /run/nvidia-persistenced/socket
    containerPath: /run/nvidia-persistenced/socket
    options: [ro, nosuid, nodev, bind, noexec]
"#;

    #[test]
    fn a_specification_is_read_and_applied_by_uuid_or_index() {
        let cdi = Cdi::of(YAML).unwrap();
        let edits = cdi.edits([["GPU-a", "0"], ["GPU-b", "1"]]).unwrap();
        let nodes: Vec<_> = edits
            .device_nodes
            .iter()
            .map(|node| node.path.display().to_string())
            .collect();
        // What is for every device comes once.
        assert_eq!(
            nodes,
            [
                "/dev/nvidia0",
                "/dev/nvidiactl",
                "/dev/nvidia1",
                "/dev/dri/card1"
            ]
        );
        assert_eq!(
            edits.device_nodes[2].host_path.as_deref(),
            Some(Path::new("/host/nvidia1"))
        );
        assert_eq!(
            edits.environment(),
            [("NVIDIA_VISIBLE_DEVICES".into(), "void".into())].into()
        );
        assert_eq!(edits.mounts.len(), 1);
        assert_eq!(cdi.edits([["GPU-c", "7"]]), None);
    }

    #[test]
    fn later_directories_come_first_and_broken_files_are_told() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let spec = |node: &str| {
            format!(
                r#"{{"kind":"nvidia.com/gpu","devices":[{{"name":"0","containerEdits":
                {{"deviceNodes":[{{"path":"{node}"}}]}}}}]}}"#
            )
        };
        fs::write(dirs[0].path().join("a.json"), spec("/dev/old")).unwrap();
        fs::write(dirs[1].path().join("b.json"), spec("/dev/new")).unwrap();
        fs::write(dirs[1].path().join("c.yaml"), "kind: [").unwrap();
        fs::write(dirs[1].path().join("d.json"), r#"{"kind":"other.com/net"}"#).unwrap();
        fs::write(dirs[1].path().join("notes.txt"), "no specification").unwrap();
        let paths = dirs.each_ref().map(|dir| dir.path().to_owned());
        let (cdi, problems) = Cdi::read(&paths);
        let edits = cdi.edits([["GPU-a", "0"]]).unwrap();
        assert_eq!(edits.device_nodes[0].path, Path::new("/dev/new"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("c.yaml: "), "{problems:?}");
        assert_eq!(Cdi::read(&["/none".into()]), (Cdi::default(), vec![]));
    }
}
