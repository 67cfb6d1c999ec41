//! How an image is named: `oci:/path[:tag]`, or `HOST[:PORT]/NAME[:TAG][@DIGEST]`.

use std::path::PathBuf;

use crate::error::Problem;

const TAG: &str = "latest";
const HOW: &str = "write oci:/PATH[:TAG] or HOST[:PORT]/NAME[:TAG]";

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A directory of the OCI layout on this machine.
    Layout { path: PathBuf, tag: Option<String> },
    /// A registry.
    Registry {
        host: String,
        name: String,
        /// A tag, or a digest.
        version: String,
    },
}

impl Reference {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let refused = |rule: &str| Problem::Refused(format!("{rule}; {HOW}"));
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, tag) = match rest.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
                _ => (rest, None),
            };
            return match path.starts_with('/') {
                true => Ok(Self::Layout {
                    path: path.into(),
                    tag,
                }),
                false => Err(refused("its path must begin with /")),
            };
        }
        let (host, rest) = text
            .split_once('/')
            .ok_or_else(|| refused("it names no registry"))?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if !(host.contains(['.', ':']) || host == "localhost") || !host.chars().all(is_host) {
            return Err(refused("it names no registry"));
        }
        let (name, version) = match rest.split_once('@') {
            Some((name, digest)) => (name.split(':').next().unwrap_or_default(), digest),
            None => rest.rsplit_once(':').unwrap_or((rest, TAG)),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if name.is_empty()
            || !name.chars().all(plain)
            || name.split('/').any(|part| part.is_empty() || part == "..")
        {
            return Err(refused(
                "its name must have small letters, digits, and . _ - / between them",
            ));
        }
        let tag = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if version.is_empty() || !version.chars().all(tag) {
            return Err(refused("its tag must have letters, digits, and . _ -"));
        }
        Ok(Self::Registry {
            host: host.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_by_where_they_are() {
        let layout = |path: &str, tag: Option<&str>| Reference::Layout {
            path: path.into(),
            tag: tag.map(str::to_owned),
        };
        let registry = |host: &str, name: &str, version: &str| Reference::Registry {
            host: host.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        };
        for (text, expected) in [
            ("oci:/a/b", layout("/a/b", None)),
            ("oci:/a:b/c:1.0", layout("/a:b/c", Some("1.0"))),
            ("localhost/x", registry("localhost", "x", "latest")),
            ("h:5000/a/b:1", registry("h:5000", "a/b", "1")),
            ("h.x/a:1@sha256:00", registry("h.x", "a", "sha256:00")),
        ] {
            assert_eq!(Reference::parse(text).unwrap(), expected);
        }
        for text in [
            "",
            "busybox",
            "user/busybox",
            "oci:a",
            "h:1/",
            "h:1/A",
            "h:1/a:",
            "h:1/../a",
            "h:1/a:b c",
            "a b.c/x",
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains("write oci:/PATH"), "{text}: {error}");
        }
    }
}
