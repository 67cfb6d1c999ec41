//! The files of certificates: keys are their owner's alone, and nothing is overwritten unasked.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tepui_certs::CertifiedKey;

use crate::cli::BadInput;

/// For the owner.
const KEY_MODE: u32 = 0o600;
/// For everybody.
const CERT_MODE: u32 = 0o644;

/// What becomes of files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// They stay, and nothing is written.
    Refuse,
    /// They are written over.
    Replace,
}

/// Where a certificate and its key are.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// Reads a text file.
///
/// # Errors
/// With the file's name.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes `dir/name.pem` and `dir/name.key`; each is whole or not there.
///
/// # Errors
/// [`BadInput`] when one of them is there, and `existing` says to refuse.
pub(super) fn write_pair(
    dir: &Path,
    name: &str,
    pair: &CertifiedKey,
    existing: Existing,
) -> anyhow::Result<Paths> {
    let paths = Paths {
        cert: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    let files = [
        (&paths.key, &pair.key, KEY_MODE),
        (&paths.cert, &pair.cert, CERT_MODE),
    ];
    if existing == Existing::Refuse
        && let Some((there, ..)) = files.iter().find(|(path, ..)| path.exists())
    {
        return Err(BadInput(format!("{} is there already", there.display())).into());
    }
    for (path, text, mode) in files {
        write(path, text, mode).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(paths)
}

/// Under another name first, so that nobody sees half a file, or a key with a wider mode.
fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
