//! Collection of sandboxes on the disk.

use std::{collections::BTreeSet, path::Path};

use tepui_isolation::sandbox::{
    collection::{Collection, Kept},
    kept,
};
use tepui_protocol::Timestamp;

/// Renews the age of sandboxes whose runs live, and removes others that are too old.
pub(super) fn collect(
    collection: Collection,
    now: Timestamp,
    work_dir: &Path,
    sandboxes: Vec<Kept>,
    live: &BTreeSet<String>,
) {
    let (used, ended): (Vec<_>, Vec<_>) = sandboxes
        .into_iter()
        .partition(|sandbox| live.contains(&sandbox.run));
    for sandbox in used {
        if let Err(error) = kept::renew(&sandbox.path) {
            tracing::debug!(sandbox = %sandbox.path.display(), %error, "age not renewed");
        }
    }
    let disk_used = || kept::disk_used(work_dir);
    collection.collect(now, ended, disk_used, |sandbox| {
        let path = sandbox.path.display();
        match kept::remove(&sandbox.path) {
            Ok(()) => tracing::info!(sandbox = %path, "sandbox removed"),
            Err(error) => tracing::warn!(sandbox = %path, %error, "sandbox not removed"),
        }
    });
}
