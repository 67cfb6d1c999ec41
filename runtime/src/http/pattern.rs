//! Path patterns: `/count`, `/items/{id}`, `/files/{*path}`.

/// A pattern, split at its slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Is(String),
    /// Any one segment.
    One(String),
    /// All that is left.
    Rest(String),
}

/// What stood at a pattern's names.
pub(super) type Parameters = Vec<(String, String)>;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Panics
    /// When `text` is no pattern: patterns are part of the program.
    pub(super) fn new(text: &str) -> Self {
        assert!(text.starts_with('/'), "route {text:?} must begin with `/`");
        let parts: Vec<Part> = segments(text).map(|part| Self::part(text, part)).collect();
        let rest_within = parts
            .iter()
            .rev()
            .skip(1)
            .any(|p| matches!(p, Part::Rest(_)));
        assert!(
            !rest_within,
            "route {text:?}: {{*...}} must be the last part"
        );
        Self { parts }
    }

    fn part(text: &str, part: &str) -> Part {
        let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
            assert!(
                !part.contains(['{', '}']),
                "route {text:?}: write {{name}} between two slashes"
            );
            return Part::Is(part.to_owned());
        };
        match name.strip_prefix('*') {
            Some(name) => Part::Rest(name.to_owned()),
            None => Part::One(name.to_owned()),
        }
    }

    /// The parameters, if `path` (its decoded segments) fits.
    pub(super) fn fit(&self, path: &[String]) -> Option<Parameters> {
        let mut parameters = Vec::new();
        for (n, part) in self.parts.iter().enumerate() {
            let segment = path.get(n);
            match part {
                Part::Is(text) if segment == Some(text) => {}
                Part::Is(_) => return None,
                Part::One(name) => parameters.push((name.clone(), segment?.clone())),
                Part::Rest(name) => {
                    parameters.push((name.clone(), path.get(n..)?.join("/")));
                    return Some(parameters);
                }
            }
        }
        (path.len() == self.parts.len()).then_some(parameters)
    }

    /// How much of it is fixed: of several patterns that fit, the most fixed one is meant.
    pub(super) fn rank(&self) -> Vec<u8> {
        let weight = |part: &Part| match part {
            Part::Is(_) => 0,
            Part::One(_) => 1,
            Part::Rest(_) => 2,
        };
        self.parts.iter().map(weight).collect()
    }
}

/// The parts of a path between its slashes; none of `/`.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let some = !path.is_empty();
    path.split('/').filter(move |_| some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(pattern: &str, path: &str) -> Option<String> {
        let path: Vec<String> = segments(path).map(str::to_owned).collect();
        let parameters = Pattern::new(pattern).fit(&path)?;
        let pairs = parameters.iter().map(|(k, v)| format!("{k}={v}"));
        Some(pairs.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn paths_fit_or_do_not() {
        let cases = [
            ("/", "/", Some("")),
            ("/count", "/count", Some("")),
            ("/count", "/", None),
            ("/count", "/count/", None),
            ("/count", "/count/x", None),
            ("/{id}", "/7", Some("id=7")),
            ("/{id}/x", "/7/x", Some("id=7")),
            ("/{id}", "/", None),
            ("/f/{*path}", "/f/a/b", Some("path=a/b")),
            ("/f/{*path}", "/f", Some("path=")),
            ("/f/{*path}", "/g/a", None),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(fit(pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_more_fixed_pattern_comes_first() {
        let rank = |text| Pattern::new(text).rank();
        assert!(rank("/a/b") < rank("/a/{x}"));
        assert!(rank("/a/{x}") < rank("/a/{*x}"));
        assert!(rank("/a/{*x}") < rank("/{x}/b"));
    }

    #[test]
    #[should_panic(expected = "must begin with `/`")]
    fn a_pattern_begins_with_a_slash() {
        Pattern::new("count");
    }
}
