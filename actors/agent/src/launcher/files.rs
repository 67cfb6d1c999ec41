//! Files and images that launches get first: ordered on the agent's thread, got on the launch's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tepui_fetch::{Fetcher, Images, Place, Work};
use tepui_isolation::{Container, Containerizer, Image, launch::User, process::chain};
use tepui_protocol::provision::{CommandUri, ImageInfo};

use super::ExecutorLaunch;

/// Gets files, and knows who is getting some.
#[derive(Clone, Debug)]
pub(super) struct Files {
    fetcher: Arc<Fetcher>,
    images: Arc<Images>,
    getting: Arc<Mutex<BTreeMap<String, Work>>>,
}

/// What one launch wants.
pub(super) struct Order {
    /// None: this agent gets no files.
    files: Option<Files>,
    run: String,
    uris: Vec<CommandUri>,
    image: Option<ImageInfo>,
    container: Container,
    work: Work,
}

impl Files {
    pub(super) fn new(fetcher: Fetcher, images: Images) -> Self {
        Self {
            fetcher: Arc::new(fetcher),
            images: Arc::new(images),
            getting: Arc::default(),
        }
    }

    pub(super) fn give_up(&self, run: &str) {
        if let Some(work) = self.getting().get(run) {
            work.cancel();
        }
    }

    pub(super) fn progress(&self, run: &str) -> Option<String> {
        self.getting().get(run)?.progress()
    }

    /// Whether runs that are not `live` have images.
    pub(super) fn holds_more_than(&self, live: &BTreeSet<String>) -> bool {
        !self.images.runs().is_subset(live)
    }

    /// What runs changed of their images goes, but that of `live` ones.
    pub(super) fn release_all_but(&self, live: &BTreeSet<String>) {
        for run in self.images.runs() {
            if !live.contains(&run) {
                self.images.release(&run);
            }
        }
    }

    /// What a run changed of its image goes.
    pub(super) fn release(&self, run: &str) {
        self.images.release(run);
    }

    fn getting(&self) -> MutexGuard<'_, BTreeMap<String, Work>> {
        self.getting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    /// What a launch wants, if it wants anything.
    pub(super) fn of(files: Option<&Files>, launch: &ExecutorLaunch) -> Option<Self> {
        if launch.uris.is_empty() && launch.image.is_none() {
            return None;
        }
        let run = launch.run.run.clone();
        let work = Work::default();
        if let Some(files) = files {
            files.getting().insert(run.clone(), work.clone());
        }
        Some(Self {
            files: files.cloned(),
            container: Container {
                user: launch.user.clone(),
                ..Container::new(run.clone(), launch.sandbox.clone(), &launch.resources)
            },
            run,
            uris: launch.uris.clone(),
            image: launch.image.clone(),
            work,
        })
    }

    /// Gets all of it, and returns the image if there is one. Blocks.
    ///
    /// # Errors
    /// A text for people.
    pub(super) fn get(
        mut self,
        containers: Option<&Containerizer>,
    ) -> Result<Option<Image>, String> {
        let Some(files) = self.files.clone() else {
            return Err("this agent fetches no files".to_owned());
        };
        if let Some(wanted) = &self.image {
            if !containers.is_some_and(Containerizer::takes_images) {
                return Err(format!(
                    "image {}: {}",
                    wanted.name,
                    Containerizer::NO_IMAGES
                ));
            }
            let user = self.user(containers)?;
            let taken = files
                .images
                .take(wanted, user.as_ref(), &self.run, &self.work);
            self.container.image = Some(taken.map_err(|error| chain(&error))?);
        }
        let place = Place {
            sandbox: self.container.sandbox.clone(),
            owner: self.user(containers)?,
            user: self.container.user.clone().unwrap_or_default(),
            bytes_max: self.container.disk,
        };
        let fetched = files.fetcher.fetch(&self.uris, &place, &self.work);
        fetched.map_err(|error| chain(&error))?;
        Ok(self.container.image.take())
    }

    /// Whom the container's processes run as.
    fn user(&self, containers: Option<&Containerizer>) -> Result<Option<User>, String> {
        let user = containers.map_or(Ok(None), |containers| containers.user(&self.container));
        user.map_err(|error| chain(&error))
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        if let Some(files) = &self.files {
            files.getting().remove(&self.run);
        }
    }
}
