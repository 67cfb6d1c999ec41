//! Images: found by name, checked, kept by content, and laid out for containers.
//!
//! ```text
//! <work dir>/images/index.json         what there is, and when it was used
//!                  /l/<layer>/         a layer, opened once; named after it and all below it
//!                  /r/<run>/image      which image a run has, so that it stays
//!                          /up, /work  what the run changes of it
//!                  /tmp/               what is being fetched and opened
//! ```
//! A layer comes into being by a rename, once all of it is checked and synced. What is not named in the
//! index is removed at the start. Names are short, as the kernel takes all layers in one page.

mod index;
mod layer;
mod layout;
mod manifest;
mod origin;
mod reference;
mod registry;
mod user;

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::{sys::statvfs::statvfs, unistd::syncfs};
use tepui_isolation::{
    Image,
    launch::{Overlay, User},
};
use tepui_protocol::provision::ImageInfo;
use tokio::runtime::{Builder, Runtime};

use crate::{
    archive::Limits,
    cache::write_whole,
    config::FetchConfig,
    digest,
    error::{FetchError, Problem},
    http::Client,
    work::Work,
};
use index::{Index, Stored};
use layout::Layout;
use manifest::{Config, Descriptor, Manifest, hex};
use origin::Origin;
use reference::Reference;
use registry::Registry;

/// So many layers fit into one page of options.
const LAYERS_MAX: usize = 100;
/// Digits of a layer's name.
const NAME_DIGITS: usize = 32;

/// The images of one agent.
#[derive(Debug)]
pub struct Images {
    dir: PathBuf,
    config: FetchConfig,
    client: Client,
    index: Mutex<Index>,
    pulling: tokio::sync::Mutex<()>,
    made: AtomicU64,
}

impl Images {
    /// The store in `work_dir`.
    ///
    /// # Errors
    /// [`Problem`] when it cannot be used.
    pub fn open(work_dir: &Path, config: FetchConfig) -> Result<Self, Problem> {
        let dir = work_dir.join("images");
        let _ = fs::remove_dir_all(dir.join("tmp"));
        for part in ["tmp", "l", "r"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).map_err(Problem::file("make", &part))?;
        }
        // Files of all kinds of users, and with set-user-id: for containers alone.
        let own = Permissions::from_mode(0o700);
        fs::set_permissions(&dir, own).map_err(Problem::file("set up", &dir))?;
        let text = fs::read(dir.join("index.json")).unwrap_or_default();
        let mut index: Index = serde_json::from_slice(&text).unwrap_or_default();
        let layers = dir.join("l");
        index
            .images
            .retain(|_, image| image.layers.iter().all(|name| layers.join(name).is_dir()));
        let known: BTreeSet<&String> = index
            .images
            .values()
            .flat_map(|image| &image.layers)
            .collect();
        for name in names(&layers) {
            if !known.contains(&name) {
                let _ = fs::remove_dir_all(layers.join(name));
            }
        }
        let client = Client::new(config.stall(), config.ca_file.clone());
        Ok(Self {
            dir,
            config,
            client,
            index: Mutex::new(index),
            pulling: tokio::sync::Mutex::default(),
            made: AtomicU64::new(0),
        })
    }

    /// Gets an image, if it is not there, and lays it out for a run, which has it until it is released.
    /// Blocks; files of this machine are read as `user` could.
    ///
    /// # Errors
    /// [`FetchError::Image`].
    pub fn take(
        &self,
        image: &ImageInfo,
        user: Option<&User>,
        run: &str,
        work: &Work,
    ) -> Result<Image, FetchError> {
        let taken = self.found(image, user, run, work);
        taken.map_err(|source| FetchError::Image {
            image: image.name.clone(),
            source,
        })
    }

    fn found(
        &self,
        image: &ImageInfo,
        user: Option<&User>,
        run: &str,
        work: &Work,
    ) -> Result<Image, Problem> {
        let reference = Reference::parse(&image.name)?;
        work.begin(format!("getting image {}", image.name));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Problem::file("use", "sockets"))?;
        let from = match &reference {
            Reference::Layout { path, .. } => Origin::Layout(Layout { path, user }),
            Reference::Registry { host, name, .. } => {
                if image.cached
                    && let Some(image) = self.lay_out(&image.name, &image.name, run)?
                {
                    return Ok(image);
                }
                Origin::Registry(Registry::new(&self.client, &self.config, host, name)?)
            }
        };
        let (digest, text) = from.manifest(&runtime, &reference, work)?;
        if let Some(image) = self.lay_out(&digest, &image.name, run)? {
            return Ok(image);
        }
        let alone = async { Ok(self.pulling.lock().await) };
        let _alone = runtime.block_on(work.unless_cancelled(alone))?;
        if let Some(image) = self.lay_out(&digest, &image.name, run)? {
            return Ok(image);
        }
        let stored = self.pull(&runtime, &from, &text, work)?;
        {
            let mut index = self.index();
            index.add(&digest, &image.name, stored);
            self.write(&index)?;
        }
        let laid_out = self.lay_out(&digest, &image.name, run)?;
        self.prune();
        laid_out.ok_or_else(|| Problem::Refused("it is gone already".to_owned()))
    }

    /// Gets the layers that are not there.
    fn pull(
        &self,
        runtime: &Runtime,
        from: &Origin<'_>,
        manifest: &[u8],
        work: &Work,
    ) -> Result<Stored, Problem> {
        let manifest: Manifest = manifest::plain(manifest, "manifest")?;
        let text = from.read(runtime, &manifest.config, work)?;
        let config: Config = manifest::read(&text, &manifest.config.digest, "configuration")?;
        let (blobs, diffs) = (&manifest.layers, &config.rootfs.diff_ids);
        if blobs.len() != diffs.len() || blobs.is_empty() || blobs.len() > LAYERS_MAX {
            return Err(Problem::Refused(format!(
                "it has {} layers by its manifest and {} by its configuration; from 1 to {LAYERS_MAX} can be used",
                blobs.len(),
                diffs.len()
            )));
        }
        let (mut names, mut chain) = (Vec::new(), String::new());
        for (at, (blob, diff)) in blobs.iter().zip(diffs).enumerate() {
            // A layer is what it is by those below it.
            chain = match chain.is_empty() {
                true => hex(diff)?.to_owned(),
                false => digest::of(format!("sha256:{chain} {diff}").as_bytes()),
            };
            let name = chain[..NAME_DIGITS].to_owned();
            if !self.dir.join("l").join(&name).is_dir() {
                work.begin(format!(
                    "getting layer {} of {} of the image",
                    at + 1,
                    blobs.len()
                ));
                self.layer(runtime, from, (blob, diff), &name, work)?;
            }
            names.insert(0, name);
        }
        let paths: Vec<PathBuf> = names
            .iter()
            .map(|name| self.dir.join("l").join(name))
            .collect();
        let run = config.config;
        let variables = run.env.iter().filter_map(|pair| pair.split_once('='));
        Ok(Stored {
            user: user::find(&run.user, &paths)?,
            layers: names,
            entrypoint: run.entrypoint,
            arguments: run.cmd,
            environment: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            directory: run.working_dir,
            ..Stored::default()
        })
    }

    fn layer(
        &self,
        runtime: &Runtime,
        from: &Origin<'_>,
        (blob, diff): (&Descriptor, &str),
        name: &str,
        work: &Work,
    ) -> Result<(), Problem> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let tmp = Scratch(self.dir.join("tmp").join(number.to_string()));
        let directory = tmp.0.join("layer");
        fs::create_dir_all(&directory).map_err(Problem::file("make", &directory))?;
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(&directory, open).map_err(Problem::file("set up", &directory))?;
        let file = from.open(runtime, blob, &tmp.0.join("blob"), work)?;
        let limits = Limits {
            bytes: self.config.extracted_bytes_max(),
            files: self.config.extracted_files_max,
        };
        layer::open(file, (&blob.digest, diff), &directory, limits, work)?;
        let target = self.dir.join("l").join(name);
        let keep = || -> io::Result<()> {
            syncfs(File::open(&directory)?)?;
            fs::rename(&directory, &target)
        };
        keep().map_err(Problem::file("keep", &target))
    }

    /// The image of a name or digest for a run, if it is there.
    fn lay_out(&self, key: &str, name: &str, run: &str) -> Result<Option<Image>, Problem> {
        let mut index = self.index();
        let Some((digest, stored)) = index.find(key) else {
            return Ok(None);
        };
        let own = Path::new("r").join(run);
        let overlay = Overlay {
            directory: self.dir.clone(),
            layers: stored
                .layers
                .iter()
                .map(|layer| Path::new("l").join(layer))
                .collect(),
            upper: own.join("up"),
            work: own.join("work"),
        };
        let image = Image {
            name: name.to_owned(),
            entrypoint: stored.entrypoint.clone(),
            arguments: stored.arguments.clone(),
            environment: stored.environment.clone(),
            directory: Some(PathBuf::from(&stored.directory)).filter(|path| path.is_absolute()),
            user: stored.user.clone(),
            overlay,
        };
        let make = |part: &Path| -> io::Result<()> {
            let path = self.dir.join(part);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))
        };
        let made = make(&image.overlay.upper)
            .and_then(|()| make(&image.overlay.work))
            .and_then(|()| fs::write(self.dir.join(&own).join("image"), &digest));
        made.map_err(Problem::file("make", self.dir.join(&own)))?;
        self.write(&index)?;
        Ok(Some(image))
    }

    /// A run has ended: what it changed goes.
    pub fn release(&self, run: &str) {
        let _ = fs::remove_dir_all(self.dir.join("r").join(run));
    }

    /// The runs that have images.
    pub fn runs(&self) -> BTreeSet<String> {
        names(&self.dir.join("r"))
    }

    /// Removes images that nobody uses, the least recently used first, as long as the disk is too full.
    pub fn prune(&self) {
        while self.is_full() {
            let mut index = self.index();
            let run =
                |run: String| fs::read_to_string(self.dir.join("r").join(run).join("image")).ok();
            let needed: BTreeSet<String> = self.runs().into_iter().filter_map(run).collect();
            let Some((_, layers)) = index.remove_oldest(&needed) else {
                return;
            };
            if self.write(&index).is_err() {
                return;
            }
            for layer in layers {
                let _ = fs::remove_dir_all(self.dir.join("l").join(layer));
            }
        }
    }

    fn is_full(&self) -> bool {
        let Ok(disk) = statvfs(&self.dir) else {
            return false;
        };
        // As df counts it.
        let used = disk.blocks().saturating_sub(disk.blocks_free());
        let all = used + disk.blocks_available();
        used as f64 > all as f64 * self.config.image_disk_max
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, index: &Index) -> Result<(), Problem> {
        let path = self.dir.join("index.json");
        let text = serde_json::to_vec(index).unwrap_or_default();
        write_whole(&path, &text).map_err(Problem::file("write", path))
    }
}

/// A directory that is removed.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
