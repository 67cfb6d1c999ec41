//! What a command finds when it starts: files that are fetched for it, and an image.

use serde::{Deserialize, Serialize};

/// A file that is put into the sandbox before a command starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandUri {
    /// Where it comes from: `http://`, `https://`, `file:///` or a path of the agent's machine.
    pub value: String,
    /// Whether it may be executed.
    #[serde(default)]
    pub executable: bool,
    /// Whether it is an archive whose content is put into the sandbox in its place.
    //= mesos, differs: not unless it is said, whatever its name
    #[serde(default)]
    pub extract: bool,
    /// Whether the agent keeps it for the next task of the same user that wants it.
    #[serde(default)]
    pub cache: bool,
    /// Its name in the sandbox; the last part of its path where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
    /// What its sha256 must be, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The image that a command runs in.
//= mesos, differs: an image is the command's, not in a ContainerInfo beside it
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// `oci:/PATH[:TAG]`, or `HOST[:PORT]/NAME[:TAG]`.
    pub name: String,
    /// Whether an image of that name that the agent has is as good as the registry's.
    #[serde(default = "yes")]
    pub cached: bool,
}

impl ImageInfo {
    /// An image, as the agent has it if it does.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cached: true,
        }
    }

    /// Checks what can be checked before it is looked for.
    ///
    /// # Errors
    /// How to write it.
    pub fn check(&self) -> Result<(), &'static str> {
        match self.name.split_once('/') {
            Some((first, _)) if first == "localhost" || first.contains([':', '.']) => Ok(()),
            _ => Err("must be oci:/PATH[:TAG] or HOST[:PORT]/NAME[:TAG]"),
        }
    }
}

fn yes() -> bool {
    true
}

impl CommandUri {
    /// A file as it is.
    pub fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// Reads `URI[,extract][,executable][,cache][,output=NAME][,sha256=HEX]`.
    ///
    /// # Errors
    /// How to write one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut uri = Self::new("");
        let mut rest = text;
        while let Some((before, word)) = rest.rsplit_once(',') {
            match word.split_once('=') {
                None if word == "extract" => uri.extract = true,
                None if word == "executable" => uri.executable = true,
                None if word == "cache" => uri.cache = true,
                Some(("output", name)) => uri.output_file = Some(name.to_owned()),
                Some(("sha256", hex)) => uri.sha256 = Some(hex.to_owned()),
                // Commas may be part of a URI.
                _ => break,
            }
            rest = before;
        }
        rest.clone_into(&mut uri.value);
        uri.check().map(|()| uri)
    }

    /// Checks what can be checked before it is fetched.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        let known = ["http://", "https://", "file:///", "/"];
        if !known.iter().any(|start| self.value.starts_with(start)) {
            return Err("must begin with http://, https://, file:/// or /");
        }
        let is_digest =
            |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.sha256.as_ref().is_some_and(|text| !is_digest(text)) {
            return Err("its sha256 must have 64 hexadecimal digits");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_with_its_place() {
        for name in ["oci:/a", "localhost/x", "h:5000/x:1", "h.example/a/b"] {
            assert_eq!(ImageInfo::new(name).check(), Ok(()));
        }
        for name in ["", "busybox", "user/busybox", "oci:busybox"] {
            assert!(ImageInfo::new(name).check().is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_to_be_done_with_a_file_follows_its_uri() {
        let sha = "a".repeat(64);
        let text = format!("http://h/a,b.tgz?c=d,extract,cache,sha256={sha},output=x");
        let expected = CommandUri {
            extract: true,
            cache: true,
            sha256: Some(sha),
            output_file: Some("x".to_owned()),
            ..CommandUri::new("http://h/a,b.tgz?c=d")
        };
        assert_eq!(CommandUri::parse(&text), Ok(expected));
        assert_eq!(CommandUri::parse("/a,b").unwrap().value, "/a,b");
        assert!(CommandUri::parse("/a,executable").unwrap().executable);
        for (text, told) in [
            ("", "must begin"),
            ("ftp://h/a", "must begin"),
            ("extract", "must begin"),
            ("/a,sha256=12", "64"),
        ] {
            assert!(
                CommandUri::parse(text).unwrap_err().contains(told),
                "{text}"
            );
        }
    }
}
