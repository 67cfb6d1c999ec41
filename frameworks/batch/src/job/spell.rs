//! Guessing what was meant.

/// `; did you mean "cpus"?` when one of `known` is near `word`, else nothing.
pub(super) fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|name| (distance(word, name), name)).min();
    match near {
        Some((far, name)) if far <= 2 && far < name.chars().count() => {
            format!("; did you mean {name:?}?")
        }
        _ => String::new(),
    }
}

/// Letters to insert, delete or replace to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_fewest_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("cpu", "cpus", 1),
            ("mme", "mem", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_hinted_at() {
        let known = ["cpus", "mem"];
        assert_eq!(hint("cpu", known.into_iter()), "; did you mean \"cpus\"?");
        assert_eq!(hint("banana", known.into_iter()), "");
    }
}
