//! What went through the links of a node, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Nodes that are linked, or being dialled.
    pub(crate) peers: usize,
    /// Numbered frames that arrived.
    pub(crate) frames_in: u64,
    /// Numbered frames that were written, each once.
    pub(crate) frames_out: u64,
    /// Bytes that were read.
    pub(crate) bytes_in: u64,
    /// Bytes that were written.
    pub(crate) bytes_out: u64,
}

impl Counters {
    /// Frames were handed over.
    pub(super) fn received(&self, frames: u64) {
        self.frames_in.fetch_add(frames, Ordering::Relaxed);
    }

    /// Frames were written for the first time.
    pub(super) fn sent(&self, frames: u64) {
        self.frames_out.fetch_add(frames, Ordering::Relaxed);
    }

    /// Bytes were read.
    pub(super) fn read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes were written.
    pub(super) fn wrote(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self, peers: usize) -> Traffic {
        Traffic {
            peers,
            frames_in: self.frames_in.load(Ordering::Relaxed),
            frames_out: self.frames_out.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }
}
