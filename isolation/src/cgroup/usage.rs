//! How the kernel writes down what a container has used.

use std::{fs, path::Path};

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
