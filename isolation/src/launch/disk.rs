//! Noticing that a sandbox holds more than it may, by adding its files up.
//!
//! Works on every file system and costs a walk; between two walks a task can go over its limit. Hard
//! links count once for each name, as they do for `du` of single files.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{
    plan::DiskWatch,
    report::{Limitation, LimitationKind},
};

const MIB: u64 = 1 << 20;
/// Files after which a walk ends; what it found so far counts.
const FILES_MAX: usize = 1_000_000;
/// `st_blocks` counts in these, whatever the file system.
const BLOCK: u64 = 512;

/// Tells of the limit if the directory holds more.
pub(super) fn exceeded(watch: &DiskWatch) -> Option<Limitation> {
    let used = used(&watch.directory) + watch.also.as_deref().map_or(0, used);
    (used > watch.limit).then(|| Limitation {
        kind: LimitationKind::Disk,
        message: format!(
            "disk limit of {} MiB exceeded; the sandbox holds {} MiB",
            watch.limit / MIB,
            used.div_ceil(MIB)
        ),
    })
}

/// The bytes that the files below `directory` take. Follows no link and enters no other file system.
pub(crate) fn used(directory: &Path) -> u64 {
    let Ok(root) = fs::symlink_metadata(directory) else {
        return 0;
    };
    let (mut sum, mut files) = (root.blocks() * BLOCK, 0);
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            sum += about.blocks() * BLOCK;
            files += 1;
            if files >= FILES_MAX {
                return sum;
            }
            if about.is_dir() && about.dev() == root.dev() {
                waiting.push(entry.path());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_added_up_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("big"), vec![1; 4 << 20]).unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::write(dir.path().join("inner/file"), vec![1; 2 << 20]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("link")).unwrap();
        let watch = |limit| DiskWatch {
            also: None,
            directory: dir.path().to_owned(),
            limit,
            interval_ms: 1,
        };
        assert_eq!(exceeded(&watch(3 << 20)), None);
        let found = exceeded(&watch(1 << 20)).unwrap();
        assert!(
            found
                .message
                .starts_with("disk limit of 1 MiB exceeded; the sandbox holds"),
            "{}",
            found.message
        );
    }
}
