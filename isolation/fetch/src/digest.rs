//! SHA-256 of what passes, and its text.

use std::io::{self, Read};

use ring::digest::{Context, SHA256};

use crate::error::Problem;

/// Adds bytes up to a digest.
#[derive(Clone)]
pub(crate) struct Sha256(Context);

impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In lower-case hexadecimal.
    pub(crate) fn text(self) -> String {
        let digest = self.0.finish();
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The digest of bytes, in lower-case hexadecimal.
pub(crate) fn of(bytes: &[u8]) -> String {
    let mut sha = Sha256::new();
    sha.update(bytes);
    sha.text()
}

/// Refuses another digest than the one that is wanted.
pub(crate) fn check(found: &str, wanted: &str) -> Result<(), Problem> {
    match found == wanted {
        true => Ok(()),
        false => Err(Problem::Digest {
            found: found.to_owned(),
            wanted: wanted.to_owned(),
        }),
    }
}

/// Passes on what another reads, and adds it up.
pub(crate) struct Hashing<R> {
    inner: R,
    pub(crate) sha: Sha256,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            sha: Sha256::new(),
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.sha.update(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(b"abc"), abc);
        let mut read = String::new();
        let mut hashing = Hashing::new(&b"abc"[..]);
        hashing.read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), hashing.sha.text().as_str()), ("abc", abc));
        assert!(check(abc, abc).is_ok() && check(abc, "0").is_err());
    }
}
