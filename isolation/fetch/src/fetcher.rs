//! What is done with the URIs of a command, one after the other.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use tepui_isolation::launch::User;
use tepui_protocol::provision::CommandUri;
use tokio::runtime::{Builder, Runtime};

use crate::{
    archive::{
        self, Limits, Meter,
        tree::{Tree, inside},
    },
    cache::{Cache, Temporary},
    config::FetchConfig,
    digest::{self, Hashing},
    error::{FetchError, Problem, size},
    http::Client,
    source::{self, Source},
    work::Work,
};

/// Files that one command may want.
const URIS_MAX: usize = 1000;
/// Files of a sandbox that are not for tasks to bring along.
const RESERVED: &[&str] = &["stdout", "stderr", "executor.log", ".tmp"];

/// Fetches files for the tasks of one agent.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
    client: Client,
    cache: Cache,
}

/// Where files go, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The directory, which exists.
    pub sandbox: PathBuf,
    /// Whose they are; this process's where absent.
    pub owner: Option<User>,
    /// Whose part of the cache is used.
    pub user: String,
    /// How much they may be together, in bytes, where that is limited.
    pub bytes_max: Option<u64>,
}

/// A file that was fetched: it goes away with its temporary, if it has one.
struct Fetched {
    file: File,
    _temporary: Option<Temporary>,
}

impl Fetcher {
    /// A fetcher with its cache in `work_dir`.
    ///
    /// # Errors
    /// [`Problem`] when the cache cannot be used.
    pub fn open(work_dir: &Path, config: FetchConfig) -> Result<Self, Problem> {
        config.validate().map_err(Problem::Refused)?;
        let cache = Cache::open(&work_dir.join("fetch"), config.cache_bytes())?;
        let client = Client::new(config.stall(), config.ca_file.clone());
        Ok(Self {
            config,
            client,
            cache,
        })
    }

    /// Fetches files in order. Blocks; ends soon after `work` is cancelled, and when a server is
    /// silent for too long.
    ///
    /// # Errors
    /// [`FetchError`] of the first that cannot be had; some may lie in the sandbox then.
    pub fn fetch(&self, uris: &[CommandUri], place: &Place, work: &Work) -> Result<(), FetchError> {
        if uris.is_empty() {
            return Ok(());
        }
        if uris.len() > URIS_MAX {
            let text = format!("{} URIs are more than {URIS_MAX}", uris.len());
            return Err(FetchError::Before(Problem::Refused(text)));
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(Problem::file("use", "sockets"))
            .map_err(FetchError::Before)?;
        let mut left = place.bytes_max.unwrap_or(u64::MAX);
        for uri in uris {
            let fetched = self.one(&runtime, uri, place, left, work);
            let bytes = fetched.map_err(|source| FetchError::Uri {
                uri: uri.value.clone(),
                source,
            })?;
            left = left.saturating_sub(bytes);
        }
        Ok(())
    }

    /// Returns how many bytes came into the sandbox.
    fn one(
        &self,
        runtime: &Runtime,
        uri: &CommandUri,
        place: &Place,
        left: u64,
        work: &Work,
    ) -> Result<u64, Problem> {
        let from = Source::of(&uri.value)?;
        let name = match &uri.output_file {
            Some(name) => name.clone(),
            None => from.name()?,
        };
        let target = inside(Path::new(&name))?;
        refuse_reserved(&target)?;
        let owner = place.owner.as_ref().map(|owner| (owner.uid, owner.gid));
        let tree = Tree::open(&place.sandbox, owner)?;
        work.begin(format!("fetching {}", uri.value));
        let mode = if uri.executable { 0o755 } else { 0o644 };
        let limit = left.min(self.config.file_bytes_max());
        let fetched = match from {
            Source::Http(url) if !uri.cache && !uri.extract => {
                let mut made = tree.file(&target)?;
                let getting = source::download(&self.client, &url, &mut made.file, limit, work);
                let (bytes, sha) = runtime.block_on(work.unless_cancelled(getting))?;
                check(uri, &sha)?;
                made.finish(mode, None)?;
                return Ok(bytes);
            }
            Source::Http(url) => {
                let getting = self.get(&url, uri, &place.user, work);
                runtime.block_on(work.unless_cancelled(getting))?
            }
            Source::File(path) => Fetched {
                file: self.local(&path, uri, place)?,
                _temporary: None,
            },
        };
        let limits = Limits {
            bytes: left.min(self.config.extracted_bytes_max()),
            files: self.config.extracted_files_max,
        };
        if uri.extract {
            work.begin(format!("extracting {}", uri.value));
            let bytes = archive::extract(fetched.file, &name, &tree, limits, work)?;
            for name in RESERVED {
                let path = place.sandbox.join(name);
                if path.symlink_metadata().is_ok() {
                    refuse_reserved(Path::new(name))?;
                }
            }
            return Ok(bytes);
        }
        let mut file = fetched.file;
        let mut made = tree.file(&target)?;
        let limits = Limits {
            bytes: limit,
            files: 1,
        };
        let packed = u64::MAX;
        let mut meter = Meter::new(limits, packed, work);
        meter.copy(&mut file, &mut made.file, &target)?;
        made.finish(mode, None)?;
        Ok(meter.bytes())
    }

    /// A file of a server, from the cache if it may be.
    async fn get(
        &self,
        url: &str,
        uri: &CommandUri,
        user: &str,
        work: &Work,
    ) -> Result<Fetched, Problem> {
        let key = Cache::key(user, url);
        let _alone = match uri.cache {
            true => Some(self.cache.alone(&key).await),
            false => None,
        };
        let wanted = uri.sha256.as_deref();
        if uri.cache
            && let Some(file) = self.cache.find(&key, wanted)
        {
            return Ok(Fetched {
                file,
                _temporary: None,
            });
        }
        let mut temporary = self.cache.temporary()?;
        let limit = self.config.file_bytes_max();
        let (bytes, sha) =
            source::download(&self.client, url, &mut temporary.file, limit, work).await?;
        check(uri, &sha)?;
        let rewound = temporary.file.seek(SeekFrom::Start(0));
        rewound.map_err(Problem::file("read", "the file that was fetched"))?;
        let file = temporary.file.try_clone();
        let file = file.map_err(Problem::file("read", "the file that was fetched"))?;
        if uri.cache {
            let kept = self.cache.keep(&key, (url, bytes, sha), &temporary);
            kept.map_err(Problem::file("write", "the cache of fetched files"))?;
        }
        Ok(Fetched {
            file,
            _temporary: Some(temporary),
        })
    }

    /// A file of this machine, of the size and with the sha256 that it should have.
    fn local(&self, path: &Path, uri: &CommandUri, place: &Place) -> Result<File, Problem> {
        let mut file = source::open(path, place.owner.as_ref())?;
        let limit = self.config.file_bytes_max();
        let length = file.metadata().map_err(Problem::file("read", path))?.len();
        if length > limit {
            return Err(Problem::TooMuch {
                what: "the limit for a file",
                limit: size(limit),
            });
        }
        if uri.sha256.is_some() {
            let mut hashing = Hashing::new(&mut file);
            let mut buffer = vec![0; 64 << 10];
            while hashing
                .read(&mut buffer)
                .map_err(Problem::file("read", path))?
                > 0
            {}
            check(uri, &hashing.sha.text())?;
            file.seek(SeekFrom::Start(0))
                .map_err(Problem::file("read", path))?;
        }
        Ok(file)
    }
}

fn check(uri: &CommandUri, found: &str) -> Result<(), Problem> {
    match &uri.sha256 {
        Some(wanted) => digest::check(found, &wanted.to_ascii_lowercase()),
        None => Ok(()),
    }
}

fn refuse_reserved(path: &Path) -> Result<(), Problem> {
    let Some(first) = path.iter().next() else {
        return Err(Problem::Refused(
            "its name in the sandbox is empty".to_owned(),
        ));
    };
    match RESERVED.iter().find(|name| first == **name) {
        Some(name) => Err(Problem::Refused(format!(
            "a task cannot bring a file {name} along: the sandbox has one of its own"
        ))),
        None => Ok(()),
    }
}
