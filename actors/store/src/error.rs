//! What can go wrong with a store; each text names the file and what to do.

use std::path::{Path, PathBuf};

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "{}: in use by another process; stop that process or choose another work directory",
        path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It is not a store, or a damaged one.
    #[error(
        "{}: not a readable state file ({problem}); restore it from a backup, or move it away to start afresh",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the reader ran into.
        problem: String,
    },
    /// A record of it cannot be read.
    #[error(
        "record {key:?} cannot be read ({problem}); was the state file written by a newer version?"
    )]
    Record {
        /// Its key.
        key: String,
        /// What the reader ran into.
        problem: String,
    },
    /// The file cannot be opened, read or written.
    #[error(
        "{}: {problem}; check that the directory exists, is writable and has space left",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
}

impl StoreError {
    pub(crate) fn at(path: &Path, error: impl Into<redb::Error>) -> Self {
        use redb::Error;
        let path = path.to_owned();
        match error.into() {
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => Self::Locked { path },
            Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => Self::Io {
                path,
                problem: error.to_string(),
            },
            Error::Io(error) => Self::Corrupt {
                path,
                problem: error.to_string(),
            },
            Error::Corrupted(problem) => Self::Corrupt { path, problem },
            Error::UpgradeRequired(version) => Self::Corrupt {
                path,
                problem: format!("file format {version} is too old"),
            },
            other => Self::Io {
                path,
                problem: other.to_string(),
            },
        }
    }
}
