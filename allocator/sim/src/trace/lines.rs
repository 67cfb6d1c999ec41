//! Lines of a file that may be compressed, with a bound on their length.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Problem;

/// The longest line that is read, in bytes.
pub const LINE_MAX: usize = 1 << 20;
/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 16;

/// The lines of one input.
pub(crate) struct Lines<'a> {
    file: Arc<str>,
    input: Box<dyn Read + 'a>,
    /// What was read and not handed out is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_over: bool,
    number: u64,
    is_compressed: bool,
}

impl<'a> Lines<'a> {
    /// Looks at the first bytes for gzip and zstd.
    ///
    /// # Errors
    /// When nothing can be read.
    pub(crate) fn open(name: &str, input: impl Read + 'a) -> Result<Self, Problem> {
        let file: Arc<str> = name.into();
        let unreadable = |what: String| Problem {
            file: file.clone(),
            line: 1,
            what,
        };
        let mut input = BufReader::with_capacity(CHUNK, input);
        let first = loop {
            match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(format!("cannot be read: {error}"))),
                Ok(bytes) => break bytes,
            }
        };
        let (gzip, zstd) = (
            first.starts_with(&[0x1f, 0x8b]),
            first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        );
        let input: Box<dyn Read + 'a> = match (gzip, zstd) {
            (true, _) => Box::new(MultiGzDecoder::new(input)),
            (_, true) => Box::new(Frames::new(input).map_err(|error| unreadable(damage(&error)))?),
            _ => Box::new(input),
        };
        Ok(Self {
            file,
            input,
            buffer: vec![0; 2 * CHUNK],
            start: 0,
            end: 0,
            is_over: false,
            number: 0,
            is_compressed: gzip || zstd,
        })
    }

    /// The next line without its end; none after the last.
    ///
    /// # Errors
    /// The input cannot be read, is damaged, or the line is longer than [`LINE_MAX`].
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Problem> {
        let mut seen = self.start;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[seen..self.end]);
            if let Some(at) = found {
                let line = self.start..seen + at;
                self.start = line.end + 1;
                self.number += 1;
                return Ok(Some(trimmed(&self.buffer[line])));
            }
            if self.is_over {
                if self.start == self.end {
                    return Ok(None);
                }
                let line = self.start..self.end;
                self.start = self.end;
                self.number += 1;
                return Ok(Some(trimmed(&self.buffer[line])));
            }
            seen = self.fill()?;
        }
    }

    /// Reads more; where the new bytes begin.
    fn fill(&mut self) -> Result<usize, Problem> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end > LINE_MAX {
            self.number += 1;
            return Err(self.problem(format!("a line of more than {} KiB", LINE_MAX >> 10)));
        }
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + 2 * CHUNK, 0);
        }
        let seen = self.end;
        match self.input.read(&mut self.buffer[seen..]) {
            Ok(0) => self.is_over = true,
            Ok(bytes) => self.end += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.number += 1;
                let what = if self.is_compressed {
                    damage(&error)
                } else {
                    format!("cannot be read: {error}")
                };
                return Err(self.problem(what));
            }
        }
        Ok(seen)
    }

    /// A problem with the line that was handed out last.
    pub(crate) fn problem(&self, what: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.number.max(1),
            what,
        }
    }
}

fn damage(error: &io::Error) -> String {
    // zstd's reader has the kind in its text only.
    let is_short = |text: &str| text.contains("UnexpectedEof");
    if error.kind() == io::ErrorKind::UnexpectedEof || is_short(&error.to_string()) {
        return "the compressed data ends early".to_owned();
    }
    format!("the compressed data is damaged: {error}")
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The frames of a zstd file, one after the other.
struct Frames<R: BufRead> {
    input: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

/// A frame of no bytes. A decoder that has seen it refuses windows of more than 100 MiB in those that follow;
/// the first one it takes as it comes.
const EMPTY_FRAME: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];

impl<R: BufRead> Frames<R> {
    fn new(input: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        decoder
            .init(EMPTY_FRAME.as_slice())
            .map_err(io::Error::other)?;
        Ok(Self {
            input,
            decoder,
            is_in_frame: false,
        })
    }

    /// Begins the next frame; false after the last.
    fn begin(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.input) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped =
                        io::copy(&mut (&mut self.input).take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                if self.input.fill_buf()?.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let more = BlockDecodingStrategy::UptoBytes(into.len());
                let decoded = self.decoder.decode_blocks(&mut self.input, more);
                decoded.map_err(io::Error::other)?;
            }
            let bytes = self.decoder.read(into)?;
            if bytes > 0 {
                return Ok(bytes);
            }
            self.is_in_frame = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut lines = Lines::open("t", bytes).map_err(|problem| problem.to_string())?;
        let mut found = Vec::new();
        while let Some(line) = lines.next().map_err(|problem| problem.to_string())? {
            found.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(found)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn lines_are_the_same_plain_and_compressed_in_one_part_or_two() {
        let text = b"one\r\ntwo\n\nlast";
        let lines = Ok(vec![
            "one".to_owned(),
            "two".to_owned(),
            String::new(),
            "last".to_owned(),
        ]);
        assert_eq!(all(text), lines);
        assert_eq!(all(&gzip(text)), lines);
        assert_eq!(all(&zstd(text)), lines);
        assert_eq!(all(&[gzip(&text[..7]), gzip(&text[7..])].concat()), lines);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert_eq!(
            all(&[zstd(&text[..7]), skippable.to_vec(), zstd(&text[7..])].concat()),
            lines
        );
        assert_eq!(all(b""), Ok(vec![]));
    }

    #[test]
    fn lines_longer_than_a_buffer_are_whole() {
        let long = "x".repeat(LINE_MAX - 1);
        let text = format!("a\n{long}\nb\n");
        assert_eq!(
            all(text.as_bytes()),
            Ok(vec!["a".to_owned(), long, "b".to_owned()])
        );
    }

    #[test]
    fn a_line_without_end_is_an_error_and_not_memory() {
        let mut lines = Lines::open("t", io::repeat(b'x')).unwrap();
        assert_eq!(
            lines.next().unwrap_err().to_string(),
            "t:1: a line of more than 1024 KiB"
        );
        assert!(lines.buffer.len() < 2 * LINE_MAX);
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let text: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        for packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
            let error = all(&packed[..packed.len() / 2]).unwrap_err();
            assert!(error.contains("ends early"), "{error}");
            let line: u64 = error.split(':').nth(1).unwrap().parse().unwrap();
            assert!((2..100_000).contains(&line), "{error}");
            let mut damaged = packed.clone();
            let middle = damaged.len() / 2;
            damaged[middle..middle + 64].fill(0x55);
            assert!(all(&damaged).is_err());
        }
    }
}
