//! What a container has used, and how the kernel writes it down.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// What a container has used. Amounts that nobody counts are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Processor time since its start, in microseconds.
    pub cpu_us: Option<u64>,
    /// For how long it was held back by its hard limit of processors, in microseconds.
    pub throttled_us: Option<u64>,
    /// Memory now, page cache included, in bytes.
    pub memory: Option<u64>,
    /// Of that, what is not backed by files, in bytes.
    pub memory_anonymous: Option<u64>,
    /// Of that, the page cache, in bytes.
    pub memory_cache: Option<u64>,
    /// The most that it ever was, in bytes.
    pub memory_peak: Option<u64>,
    /// The limit, in bytes.
    pub memory_limit: Option<u64>,
    /// Processes that the kernel killed over the limit.
    pub memory_kills: Option<u64>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// Read from disks, in bytes.
    pub io_read: Option<u64>,
    /// Written to disks, in bytes.
    pub io_written: Option<u64>,
    /// What lies in its sandbox, in bytes.
    pub disk: Option<u64>,
}

/// The number that is all of a file.
pub(super) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The numbers behind names in a file with `name number` lines.
pub(super) fn named<const N: usize>(file: &Path, names: [&str; N]) -> [Option<u64>; N] {
    let text = fs::read_to_string(file).unwrap_or_default();
    names.map(|name| field(&text, name))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = lines.find(|(found, _)| *found == name)?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "cache 1\nrss 2\nrss_huge 3\ntotal_rss 4\n";
        assert_eq!(field(text, "rss"), Some(2));
        assert_eq!(field(text, "total_rss"), Some(4));
        assert_eq!(field(text, "swap"), None);
    }
}
