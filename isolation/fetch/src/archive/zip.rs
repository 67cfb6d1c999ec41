//! Zip archives, with files as they are or deflated.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::{
    Meter,
    tree::{Tree, inside},
};
use crate::error::Problem;

/// Longer than any target of a link that could be used.
const LINK_MAX: u64 = 4096;
/// The kinds of files in Unix's rights.
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;

/// Opens a zip archive into `tree`.
pub(super) fn extract(file: File, tree: &Tree, meter: &mut Meter<'_>) -> Result<(), Problem> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        meter.entry()?;
        let name = entry.file_path();
        let name = std::str::from_utf8(name.as_bytes())
            .map_err(|_| Problem::Archive("the name of a file in it is not UTF-8".to_owned()))?;
        let path = inside(Path::new(name))?;
        if path.as_os_str().is_empty() {
            continue;
        }
        let mode = entry.mode().value();
        if entry.is_dir() {
            tree.directory(&path, 0o755)?;
            continue;
        }
        let found = archive.get_entry(entry.wayfinder()).map_err(broken)?;
        let packed = BufReader::new(found.reader());
        let plain: Box<dyn Read> = match entry.compression_method() {
            CompressionMethod::STORE => Box::new(packed),
            CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
            other => {
                let text = format!("{name} is packed by {other:?}; only deflate is known here");
                return Err(Problem::Archive(text));
            }
        };
        let mut plain = found.verifying_reader(plain);
        if mode & KIND == LINK {
            let mut target = String::new();
            let read = plain.by_ref().take(LINK_MAX).read_to_string(&mut target);
            read.map_err(|error| super::broken(&path, &error))?;
            tree.symlink(&path, Path::new(&target))?;
            continue;
        }
        let mut made = tree.file(&path)?;
        meter.copy(&mut plain, &mut made.file, &path)?;
        // Archives made elsewhere say nothing of rights.
        let mode = if mode & 0o777 == 0 {
            0o644
        } else {
            mode & 0o777
        };
        made.finish(mode, None)?;
    }
    Ok(())
}

fn broken(error: rawzip::Error) -> Problem {
    Problem::Archive(format!("zip: {error}"))
}
