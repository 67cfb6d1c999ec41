//! Images in directories of the OCI layout, on this machine. They are read with the rights of a task's
//! user, as any other file that a task names.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use tepui_isolation::launch::User;

use super::manifest::{self, Descriptor, Index, hex};
use crate::{error::Problem, source};

/// Longer than any index, manifest or configuration.
pub(super) const TEXT_MAX: u64 = 8 << 20;

/// A layout, for one user.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) path: &'a Path,
    pub(super) user: Option<&'a User>,
}

impl Layout<'_> {
    /// The image of a tag.
    pub(super) fn find(&self, tag: Option<&str>) -> Result<Descriptor, Problem> {
        let text = self.text(&self.path.join("index.json"))?;
        let index: Index = manifest::plain(&text, "index.json")?;
        index.tagged(tag).cloned()
    }

    /// A small blob.
    pub(super) fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Problem> {
        self.text(&self.blob(descriptor)?)
    }

    /// A large one.
    pub(super) fn open(&self, descriptor: &Descriptor) -> Result<File, Problem> {
        source::open(&self.blob(descriptor)?, self.user)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<PathBuf, Problem> {
        Ok(self
            .path
            .join("blobs/sha256")
            .join(hex(&descriptor.digest)?))
    }

    fn text(&self, path: &Path) -> Result<Vec<u8>, Problem> {
        let file = source::open(path, self.user)?;
        let mut text = Vec::new();
        let read = file.take(TEXT_MAX).read_to_end(&mut text);
        read.map_err(Problem::file("read", path))?;
        Ok(text)
    }
}
