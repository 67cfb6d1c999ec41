//! Opening archives: which kind it is, what it may hold, and into which tree.
//!
//! The kind is told by the first bytes and not by the name. What comes out is counted as it comes, so
//! that an archive that holds more than it should is noticed before the disk is full.

pub(crate) mod tape;
pub(crate) mod tree;
mod zip;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write},
    path::Path,
};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::{
    error::{Problem, size},
    work::Work,
};
use tree::Tree;

/// An archive may grow by so much when it is extracted, beyond [`RATIO_FREE`]: no useful file does.
const RATIO_MAX: u64 = 250;
const RATIO_FREE: u64 = 64 << 20;
/// The first block of a tar archive.
const BLOCK: usize = 512;

/// How much may come out of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Counts what comes out of an archive.
pub(crate) struct Meter<'a> {
    limits: Limits,
    /// The size of the archive.
    packed: u64,
    bytes: u64,
    files: u64,
    work: &'a Work,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(limits: Limits, packed: u64, work: &'a Work) -> Self {
        Self {
            limits,
            packed,
            bytes: 0,
            files: 0,
            work,
        }
    }

    /// What came out so far, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One more file, directory or link.
    pub(crate) fn entry(&mut self) -> Result<(), Problem> {
        self.work.check()?;
        self.files += 1;
        match self.files > self.limits.files {
            true => Err(Problem::TooMuch {
                what: "the limit for files in an archive",
                limit: self.limits.files.to_string(),
            }),
            false => Ok(()),
        }
    }

    /// Copies all of `from`, as far as it may be.
    pub(crate) fn copy(
        &mut self,
        from: &mut dyn Read,
        to: &mut dyn Write,
        name: &Path,
    ) -> Result<(), Problem> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(name, &error)),
            };
            self.take(read as u64)?;
            to.write_all(&buffer[..read])
                .map_err(Problem::file("write", name))?;
        }
    }

    fn take(&mut self, bytes: u64) -> Result<(), Problem> {
        self.work.check()?;
        self.bytes += bytes;
        self.work.add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(Problem::TooMuch {
                what: "the limit for what an archive holds",
                limit: size(self.limits.bytes),
            });
        }
        if self.bytes > RATIO_FREE && self.bytes / RATIO_MAX > self.packed {
            return Err(Problem::Archive(format!(
                "it grows to more than {RATIO_MAX} times its size of {}",
                size(self.packed)
            )));
        }
        Ok(())
    }
}

/// Opens the archive `file` into `tree`; what is compressed but no archive becomes the file `name`
/// without its ending. Returns how much came out, in bytes.
pub(crate) fn extract(
    mut file: File,
    name: &str,
    tree: &Tree,
    limits: Limits,
    work: &Work,
) -> Result<u64, Problem> {
    let packed = file
        .metadata()
        .map_err(|error| broken(Path::new(name), &error))?
        .len();
    let mut meter = Meter::new(limits, packed, work);
    let mut first = Vec::new();
    (&file)
        .take(BLOCK as u64)
        .read_to_end(&mut first)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(|error| broken(Path::new(name), &error))?;
    if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
        zip::extract(file, tree, &mut meter)?;
        return Ok(meter.bytes());
    }
    let Some(plain) = plain(BufReader::with_capacity(64 << 10, file), &first) else {
        let kinds = "it is no tar, tar.gz, tar.zst, zip, gz or zst";
        return Err(Problem::Archive(kinds.to_owned()));
    };
    let mut plain = BufReader::with_capacity(64 << 10, plain);
    let start = plain
        .fill_buf()
        .map_err(|error| broken(Path::new(name), &error))?;
    if is_tar(start) {
        tape::extract(plain, tree, &mut meter)?;
        return Ok(meter.bytes());
    }
    let stem = [".gz", ".zst", ".zstd"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    let target = Path::new(stem.filter(|stem| !stem.is_empty()).unwrap_or(name));
    let mut made = tree.file(target)?;
    meter.entry()?;
    meter.copy(&mut plain, &mut made.file, target)?;
    made.finish(0o644, None)?;
    Ok(meter.bytes())
}

/// What a stream holds, uncompressed; none when it is neither compressed nor a tar archive.
pub(crate) fn plain<'a>(from: impl BufRead + 'a, first: &[u8]) -> Option<Box<dyn Read + 'a>> {
    if first.starts_with(&[0x1f, 0x8b]) {
        return Some(Box::new(flate2::bufread::MultiGzDecoder::new(from)));
    }
    if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(Box::new(Zstd::new(from)));
    }
    is_tar(first).then(|| Box::new(from) as Box<dyn Read>)
}

/// Whether this is the head of a tar archive: its checksum is right.
fn is_tar(start: &[u8]) -> bool {
    let Some(block) = start.get(..BLOCK) else {
        return false;
    };
    let field = String::from_utf8_lossy(&block[148..156]);
    let told = u32::from_str_radix(field.trim_matches([' ', '\0']), 8);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| match at {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        })
        .sum();
    told == Ok(sum)
}

/// Frames of Zstandard, one after the other.
struct Zstd<R: Read> {
    state: Option<Frame<R>>,
}

enum Frame<R: Read> {
    Between(R),
    In(Box<StreamingDecoder<R, FrameDecoder>>),
}

impl<R: BufRead> Zstd<R> {
    fn new(from: R) -> Self {
        Self {
            state: Some(Frame::Between(from)),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state.take() {
                None => return Ok(0),
                Some(Frame::Between(mut from)) => {
                    if from.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(from).map_err(io::Error::other)?;
                    self.state = Some(Frame::In(Box::new(decoder)));
                }
                Some(Frame::In(mut decoder)) => {
                    let read = decoder.read(into)?;
                    if read > 0 || into.is_empty() {
                        self.state = Some(Frame::In(decoder));
                        return Ok(read);
                    }
                    self.state = Some(Frame::Between(decoder.into_inner()));
                }
            }
        }
    }
}

fn broken(name: &Path, error: &io::Error) -> Problem {
    Problem::Archive(format!("{}: {error}", name.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_grows_without_bounds() {
        let work = Work::default();
        let limits = Limits {
            bytes: u64::MAX,
            files: 1,
        };
        let mut meter = Meter::new(limits, 100_000, &work);
        let name = Path::new("x");
        let error = meter.copy(&mut io::repeat(0), &mut io::sink(), name);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("250 times its size"), "{error}");
        // Files that are as large and grew no more are fine.
        let mut meter = Meter::new(limits, 1 << 20, &work);
        let mut large = io::repeat(0).take(RATIO_FREE + 1);
        meter.copy(&mut large, &mut io::sink(), name).unwrap();
        assert!(meter.entry().is_ok() && meter.entry().is_err());
    }
}
