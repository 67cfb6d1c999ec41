//! Tar archives.

use std::{
    cell::Cell,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

use tar::EntryType;

use super::{
    Meter,
    tree::{Tree, inside},
};
use crate::error::Problem;

/// Names and attributes before a file may be so long together: they are held in memory.
const HEAD_MAX: u64 = 1 << 20;
/// Rights that are kept.
const MODE: u32 = 0o777;
const MODE_OF_LAYER: u32 = 0o7777;
/// Names by which a layer takes away what those below it have.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Refuses a head that is too long.
pub(crate) struct Heads<R> {
    from: R,
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Heads<R> {
    pub(crate) fn new(from: R) -> (Self, Rc<Cell<Option<u64>>>) {
        let left = Rc::new(Cell::new(Some(HEAD_MAX)));
        let heads = Self {
            from,
            left: left.clone(),
        };
        (heads, left)
    }
}

impl<R: Read> Read for Heads<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        if let Some(left) = self.left.get() {
            let left = left.checked_sub(read as u64);
            let left = left.ok_or_else(|| io::Error::other("the head of a file is too long"))?;
            self.left.set(Some(left));
        }
        Ok(read)
    }
}

/// Opens a tar archive into `tree`.
pub(crate) fn extract(from: impl Read, tree: &Tree, meter: &mut Meter<'_>) -> Result<(), Problem> {
    let (heads, head) = Heads::new(from);
    let mut archive = tar::Archive::new(heads);
    let mut entries = archive.entries().map_err(broken)?;
    loop {
        head.set(Some(HEAD_MAX));
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let mut entry = entry.map_err(broken)?;
        head.set(None);
        meter.entry()?;
        match tree.is_layer() {
            true => in_layer(&mut entry, tree, meter)?,
            false => {
                let path = inside(&entry.path().map_err(broken)?)?;
                one(&mut entry, &path, tree, MODE, meter)?;
            }
        }
    }
}

/// An entry of a layer: it keeps its owner, or takes away what lower layers have.
fn in_layer<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    tree: &Tree,
    meter: &mut Meter<'_>,
) -> Result<(), Problem> {
    let path = entry.path().map_err(broken)?;
    // Some tools write absolute names.
    let path = inside(path.strip_prefix("/").unwrap_or(&path))?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name == OPAQUE {
        return tree.hide_below(path.parent().unwrap_or(Path::new("")));
    }
    if let Some(gone) = name.strip_prefix(WHITEOUT) {
        // Other names of this kind are of older tools, and mean nothing here.
        return match gone.is_empty() || gone.starts_with(WHITEOUT) {
            true => Ok(()),
            false => tree.whiteout(&path.with_file_name(gone)),
        };
    }
    if let EntryType::Char | EntryType::Block | EntryType::Fifo = entry.header().entry_type() {
        // A container has devices of its own.
        return Ok(());
    }
    let number = |number: io::Result<u64>| {
        number
            .and_then(|n| u32::try_from(n).map_err(io::Error::other))
            .map_err(broken)
    };
    let owner = (number(entry.header().uid())?, number(entry.header().gid())?);
    let tree = tree.owned_by(owner)?;
    one(entry, &path, &tree, MODE_OF_LAYER, meter)
}

fn one<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    path: &Path,
    tree: &Tree,
    kept: u32,
    meter: &mut Meter<'_>,
) -> Result<(), Problem> {
    let header = entry.header();
    let kind = header.entry_type();
    let mode = header.mode().map_err(broken)? & kept;
    let modified = header.mtime().ok();
    if path.as_os_str().is_empty() {
        // The directory itself.
        return Ok(());
    }
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut made = tree.file(path)?;
            meter.copy(entry, &mut made.file, path)?;
            return made.finish(mode, modified);
        }
        EntryType::Directory => tree.directory(path, mode)?,
        EntryType::Symlink => tree.symlink(path, &target(entry)?)?,
        EntryType::Link => {
            let target = target(entry)?;
            let bare = target.strip_prefix("/").ok().filter(|_| tree.is_layer());
            tree.hard_link(path, &inside(bare.unwrap_or(&target))?)?;
        }
        EntryType::XGlobalHeader => {}
        _ => {
            let path = path.display();
            return Err(Problem::Archive(format!("{path} is a device or a pipe")));
        }
    }
    meter.copy(entry, &mut io::sink(), path)
}

fn target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<std::path::PathBuf, Problem> {
    let target = entry.link_name().map_err(broken)?;
    let named = || Problem::Archive("a link leads nowhere".to_owned());
    target.map(|target| target.into_owned()).ok_or_else(named)
}

fn broken(error: io::Error) -> Problem {
    super::broken(Path::new("tar"), &error)
}
