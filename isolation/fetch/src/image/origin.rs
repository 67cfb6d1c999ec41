//! Where the parts of an image come from, be it a layout or a registry.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom},
    path::Path,
};

use tokio::runtime::Runtime;

use super::{
    layout::Layout,
    manifest::{self, Descriptor, hex},
    reference::Reference,
    registry::Registry,
};
use crate::{digest, error::Problem, work::Work};

/// Where blobs come from.
pub(super) enum Origin<'a> {
    Layout(Layout<'a>),
    Registry(Registry<'a>),
}

impl Origin<'_> {
    /// The manifest for this machine, and its digest.
    pub(super) fn manifest(
        &self,
        runtime: &Runtime,
        reference: &Reference,
        work: &Work,
    ) -> Result<(String, Vec<u8>), Problem> {
        let (mut digest, mut text) = match (self, reference) {
            (Origin::Layout(layout), Reference::Layout { tag, .. }) => {
                let found = layout.find(tag.as_deref())?;
                (found.digest.clone(), layout.read(&found)?)
            }
            (Origin::Registry(registry), Reference::Registry { version, .. }) => {
                let text = runtime.block_on(work.unless_cancelled(registry.manifest(version)))?;
                let wanted = version.starts_with("sha256:").then_some(version.clone());
                (
                    wanted.unwrap_or_else(|| format!("sha256:{}", digest::of(&text))),
                    text,
                )
            }
            _ => return Err(Problem::Refused("it is in two places".to_owned())),
        };
        digest::check(&digest::of(&text), hex(&digest)?)?;
        if manifest::is_index(&text) {
            let index: manifest::Index = manifest::plain(&text, "index")?;
            let found = index.of_machine()?;
            text = match self {
                Origin::Layout(layout) => layout.read(found)?,
                Origin::Registry(registry) => {
                    runtime.block_on(work.unless_cancelled(registry.manifest(&found.digest)))?
                }
            };
            digest.clone_from(&found.digest);
            digest::check(&digest::of(&text), hex(&digest)?)?;
        }
        Ok((digest, text))
    }

    /// A small blob; its digest is for the caller to check.
    pub(super) fn read(
        &self,
        runtime: &Runtime,
        blob: &Descriptor,
        work: &Work,
    ) -> Result<Vec<u8>, Problem> {
        match self {
            Origin::Layout(layout) => layout.read(blob),
            Origin::Registry(registry) => {
                runtime.block_on(work.unless_cancelled(registry.text(&blob.digest)))
            }
        }
    }

    /// A large one, by way of `path` if it is not on this machine.
    pub(super) fn open(
        &self,
        runtime: &Runtime,
        blob: &Descriptor,
        path: &Path,
        work: &Work,
    ) -> Result<File, Problem> {
        let registry = match self {
            Origin::Layout(layout) => return layout.open(blob),
            Origin::Registry(registry) => registry,
        };
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).write(true).create_new(true).open(path);
        let mut file = opened.map_err(Problem::file("make", path))?;
        let getting = registry.download(blob, &mut file, work);
        runtime.block_on(work.unless_cancelled(getting))?;
        file.seek(SeekFrom::Start(0))
            .map_err(Problem::file("read", path))?;
        Ok(file)
    }
}
