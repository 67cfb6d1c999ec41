//! Why something could not be fetched. The texts are read in the status of a task.

use std::{io, path::PathBuf, time::Duration};

/// What was to be fetched, and why it was not.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A URI of a command.
    #[error("cannot fetch {uri}")]
    Uri {
        /// Which.
        uri: String,
        /// Why.
        #[source]
        source: Problem,
    },
    /// An image.
    #[error("cannot use image {image}")]
    Image {
        /// Which.
        image: String,
        /// Why.
        #[source]
        source: Problem,
    },
    /// Before any URI.
    #[error("cannot fetch")]
    Before(#[source] Problem),
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// What was asked for is not possible or not allowed.
    #[error("{0}")]
    Refused(String),
    /// The task is not wanted any more.
    #[error("given up, as the task was killed")]
    Cancelled,
    /// A server cannot be reached, or breaks off.
    #[error("{server}: {problem}")]
    Server {
        /// Its address.
        server: String,
        /// What is wrong.
        problem: String,
    },
    /// A server answers something else than what was asked for.
    #[error("{server} answers {status}")]
    Status {
        /// Its address.
        server: String,
        /// The status, with its meaning.
        status: String,
    },
    /// A server is silent.
    #[error("{server} sent nothing for {}", seconds(*.after))]
    Stalled {
        /// Its address.
        server: String,
        /// For how long.
        after: Duration,
    },
    /// More than may be.
    #[error("{what} of {limit} exceeded")]
    TooMuch {
        /// Which limit.
        what: &'static str,
        /// How much it is, for people.
        limit: String,
    },
    /// It is not what it should be.
    #[error("its sha256 is {found}, not {wanted}")]
    Digest {
        /// What came.
        found: String,
        /// What should have come.
        wanted: String,
    },
    /// An archive that cannot be opened.
    #[error("cannot extract it: {0}")]
    Archive(String),
    /// A file or directory of this machine.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Problem {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Problem::File {
            action,
            path,
            source,
        }
    }
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

/// An amount for people: MiB where it is large enough.
pub(crate) fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} B"),
        mib => format!("{mib} MiB"),
    }
}
