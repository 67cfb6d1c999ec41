//! Containers: a command that runs under the isolators that are configured.
//!
//! ```text
//!  IsolationConfig --new()--> Containerizer --launch()--> Launched --wait()--> Outcome
//!                                  |  prepare (each isolator adds to the plan), then the launcher
//!                                  +-- usage(), update()     by name, from any process
//!                                  +-- destroy(), orphans()  what is left is killed and removed
//! ```
//! Without any isolator a command is spawned as it is. `isolators.rs` lists what there is.

mod config;

use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};

use tepui_protocol::{GpuShare, NetworkMode, Resources, Scalar, lifecycle::Limits};

use crate::{
    cgroup::{self, Backend, Usage},
    image::Image,
    isolators::oci::{self, Oci},
    isolators::{self, Core, Isolator, IsolatorError, Machine},
    launch::{Ahead, Launchers, Plan, Program, User},
    network::PrivateNetwork,
    process::{LaunchError, LaunchSpec, Launched, ProcessIdentity},
    sampler::Sampler,
    session::{self, Session, Wish},
};

pub use config::{ConfigError, IsolationConfig, Off};

/// What to isolate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Unlike that of any other container; a single file name.
    pub name: String,
    /// Its directory on the machine, which exists.
    pub sandbox: PathBuf,
    /// Whom it is to run as; the agent's default where absent.
    pub user: Option<String>,
    /// Processors, in thousandths.
    pub milli_cpus: u64,
    /// More processors than this it never has, in thousandths; the agent's rule where absent.
    pub milli_cpus_max: Option<u64>,
    /// Memory, in bytes; no limit where absent.
    pub memory: Option<u64>,
    /// Disk, in bytes; no limit where absent.
    pub disk: Option<u64>,
    /// Its GPUs, of those in [`IsolationConfig::gpus`].
    pub gpus: Vec<GpuShare>,
    /// Whether it may get other GPUs while it runs.
    pub grows: bool,
    /// A directory of the machine that it shares with others, where it has any.
    pub shared: Option<PathBuf>,
    /// What it sees in place of the machine's files.
    pub image: Option<Image>,
    /// The network of its own that it has; it is in the machine's where absent.
    pub network: Option<PrivateNetwork>,
}

impl Container {
    /// A container with what a task has; of what it has nothing, there is no limit.
    pub fn new(name: String, sandbox: PathBuf, resources: &Resources) -> Self {
        let milli = |amount: Scalar| u64::try_from(amount.milli()).unwrap_or_default();
        let quantities = resources.quantities();
        let mebibytes = |name| {
            let milli = milli(quantities.get(name));
            (milli > 0).then(|| milli * (1 << 20) / 1000)
        };
        Self {
            name,
            sandbox,
            user: None,
            milli_cpus: milli(quantities.get("cpus")),
            milli_cpus_max: None,
            memory: mebibytes("mem"),
            disk: mebibytes("disk"),
            gpus: Vec::new(),
            grows: false,
            shared: None,
            image: None,
            network: None,
        }
    }

    /// Where what it changes of its image lies.
    pub(crate) fn changes(&self) -> Option<PathBuf> {
        let overlay = &self.image.as_ref()?.overlay;
        Some(overlay.directory.join(&overlay.upper))
    }

    /// The same with limits beyond its resources.
    pub fn limited(self, limits: &Limits) -> Self {
        let milli = |amount: Scalar| u64::try_from(amount.milli()).unwrap_or_default();
        let memory = limits.mem.map(|mem| milli(mem) * (1 << 20) / 1000);
        Self {
            milli_cpus_max: limits.cpus.map(milli),
            memory: memory.or(self.memory),
            ..self
        }
    }
}

/// Launches containers and looks after them.
#[derive(Debug)]
pub struct Containerizer {
    config: IsolationConfig,
    launchers: Launchers,
    isolators: Vec<(&'static str, Box<dyn Isolator>)>,
    /// The last to prepare, as it hands on what the others have said, and to clean up.
    oci: Option<Oci>,
    cgroups: Option<Arc<dyn Backend>>,
}

impl Containerizer {
    /// The isolators of `config`, and those that would be used where nothing is said but do not
    /// work here, with the reason. The launcher is `launcher`.
    ///
    /// # Errors
    /// [`ConfigError`] for an isolator that does not exist, or that is asked for and does not work.
    pub fn new(
        config: IsolationConfig,
        launcher: Program,
    ) -> Result<(Self, Vec<Off>), ConfigError> {
        let machine = Machine {
            cgroups: cgroup::detect(&config.cgroup_base()).map(Arc::from),
        };
        let (chosen, off) = config.choose(&machine)?;
        let mut isolators: Vec<(&'static str, Box<dyn Isolator>)> = Vec::new();
        let used = chosen.iter().flat_map(|(entry, _)| entry.controllers);
        let controllers: BTreeSet<_> = used.copied().collect();
        let cgroups = machine.cgroups.clone().filter(|_| !controllers.is_empty());
        if let Some(cgroups) = machine.cgroups.filter(|_| !controllers.is_empty()) {
            let controllers = controllers
                .into_iter()
                .filter(|c| cgroups.has(*c))
                .collect();
            isolators.push((
                "cgroups",
                Box::new(Core {
                    cgroups,
                    controllers,
                }),
            ));
        }
        let chosen = chosen.into_iter();
        isolators.extend(chosen.map(|(entry, isolator)| (entry.name, isolator)));
        let oci = config.oci_runtime.as_ref().map(|runtime| {
            let names = isolators.iter().map(|(name, _)| *name).collect();
            Oci::new(runtime, &config, &names).map_err(|reason| ConfigError::Runtime {
                path: runtime.clone(),
                reason,
            })
        });
        let oci = oci.transpose()?;
        if oci.is_some() {
            // Runtimes set rules for devices themselves, and cannot below a group that has some.
            isolators.retain(|(name, _)| *name != isolators::DEVICES);
        }
        let containerizer = Self {
            config,
            launchers: Launchers::new(launcher),
            isolators,
            oci,
            cgroups,
        };
        Ok((containerizer, off))
    }

    /// The configuration with which another process gets the same isolators.
    pub fn config(&self) -> IsolationConfig {
        let names = self.names().into_iter().map(str::to_owned).collect();
        self.config.clone().with_isolators(names)
    }

    /// The names of the isolators in use.
    pub fn names(&self) -> Vec<&'static str> {
        let names = self.isolators.iter().map(|(name, _)| *name);
        names.filter(|name| name.contains('/')).collect()
    }

    /// A launch will follow within milliseconds, perhaps by another process: what the kernel needs time
    /// for begins now.
    pub fn announce(&self) {
        if self.cgroups.is_some() {
            cgroup::entering::announce();
        }
    }

    /// A launch will follow, by this process: its launcher starts now, unless one waits already. Blocks
    /// for a millisecond; without it, the launch does.
    pub fn get_ready(&self) {
        if !self.isolators.is_empty() {
            // The launch tries again, and tells what is wrong.
            let _ = self.launchers.get_ready();
        }
    }

    /// Whether [`Self::get_ready`] has nothing to do.
    pub fn is_ready(&self) -> bool {
        self.isolators.is_empty() || self.launchers.are_ready()
    }

    /// The same with a launcher that this process has forked at its start.
    pub fn use_first(&self, ahead: Ahead) {
        if !self.isolators.is_empty() {
            self.launchers.take_in(ahead);
        }
    }

    /// Starts a command in a container. Blocks until it runs, some milliseconds.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing is left of the container then.
    pub fn launch(
        &self,
        container: &Container,
        spec: &LaunchSpec,
    ) -> Result<Launched, LaunchError> {
        if let Some(image) = container.image.as_ref().filter(|_| !self.takes_images()) {
            let name = &image.name;
            let text = format!("image {name}: {}", Self::NO_IMAGES);
            let source = Box::new(IsolatorError::Refused(text));
            let name = isolators::FILESYSTEM;
            return Err(LaunchError::Isolator { name, source });
        }
        if container.network.is_some() && !self.names().contains(&isolators::NETWORK) {
            let source = Box::new(IsolatorError::Refused(Self::NO_NETWORKS.to_owned()));
            let name = isolators::NETWORK;
            return Err(LaunchError::Isolator { name, source });
        }
        if self.isolators.is_empty() {
            return spec.launch();
        }
        self.announce();
        let launched = spec.open_outputs().and_then(|outputs| {
            let plan = self.plan(container, spec)?;
            self.launchers.start(&plan, outputs)
        });
        if launched.is_err() {
            // The first problem is the one to tell; what is left is an orphan, and found later.
            let _ = self.destroy(&container.name);
        }
        launched
    }

    /// Starts a further command beside the first of a container, whose plan and process these are:
    /// in its namespaces and groups, as its user, with its environment. Blocks as [`Self::launch`].
    ///
    /// # Errors
    /// [`LaunchError`]; also when the container has ended.
    pub fn enter(
        &self,
        plan: &Plan,
        process: ProcessIdentity,
        spec: &LaunchSpec,
    ) -> Result<Launched, LaunchError> {
        let plan = beside(plan, process, spec)?;
        self.launchers.start(&plan, spec.open_outputs()?)
    }

    /// The same with streams that the caller holds. Of the environment of `spec`, all is added to that
    /// of the container. Blocks as [`Self::launch`].
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn open_session(
        &self,
        plan: &Plan,
        process: ProcessIdentity,
        spec: &LaunchSpec,
        wish: Wish,
    ) -> Result<Session, LaunchError> {
        let mut plan = beside(plan, process, spec)?;
        plan.environment.extend(spec.environment.clone());
        session::start(self.launchers.program(), &plan, wish)
    }

    /// What is to be said where containers cannot have images.
    pub const NO_IMAGES: &'static str =
        "images need the isolator filesystem/linux, which is off on this agent; run it as root";

    /// What is to be said where containers cannot have networks of their own.
    pub const NO_NETWORKS: &'static str =
        "private networks are off on this agent; run it as root, with the programs ip and nft";

    /// Whether containers can have images.
    pub fn takes_images(&self) -> bool {
        self.names().contains(&isolators::FILESYSTEM)
    }

    /// Whose network tasks are in that do not say so themselves.
    pub fn network(&self) -> NetworkMode {
        self.config.network
    }

    /// Whom the processes of a container run as; this process's user where absent.
    ///
    /// # Errors
    /// The isolator's that does not allow it.
    pub fn user(&self, container: &Container) -> Result<Option<User>, IsolatorError> {
        let mut asked = self
            .isolators
            .iter()
            .map(|(_, isolator)| isolator.user(container));
        asked.find_map(Result::transpose).transpose()
    }

    fn plan(&self, container: &Container, spec: &LaunchSpec) -> Result<Plan, LaunchError> {
        let mut plan = Plan::of(spec);
        let isolators = self.isolators.iter().map(|(name, i)| (*name, &**i));
        for (name, isolator) in isolators.chain(self.oci.iter().map(|oci| ("oci", oci as _))) {
            let prepared = Isolator::prepare(isolator, container, &mut plan);
            prepared.map_err(|source| LaunchError::Isolator {
                name,
                source: Box::new(source),
            })?;
        }
        Ok(plan)
    }

    /// Sets the limits of a container anew.
    ///
    /// # Errors
    /// The first isolator's that fails; those before it have done their part.
    pub fn update(&self, container: &Container) -> Result<(), IsolatorError> {
        let mut all = self.isolators.iter();
        all.try_for_each(|(_, isolator)| isolator.update(container))
    }

    /// What a container has used.
    pub fn usage(&self, container: &Container) -> Usage {
        let mut usage = Usage::default();
        for (_, isolator) in &self.isolators {
            isolator.usage(container, &mut usage);
        }
        usage
    }

    /// Looks at containers at intervals; none where nothing is counted.
    pub fn sampler(&self) -> Option<Sampler> {
        self.cgroups.clone().map(Sampler::new)
    }

    /// Kills what runs in a container and removes what was made for it. Blocks for some
    /// milliseconds, 2 s at most.
    ///
    /// # Errors
    /// A text for people when something is left.
    pub fn destroy(&self, name: &str) -> Result<(), String> {
        let isolators = self.isolators.iter().rev().map(|(_, i)| &**i);
        let isolators = isolators.chain(self.oci.iter().map(|oci| oci as &dyn Isolator));
        let failed = isolators.filter_map(|isolator| {
            let error = isolator.cleanup(name).err()?;
            Some(isolators::text(&error))
        });
        match failed.collect::<Vec<_>>() {
            failed if failed.is_empty() => Ok(()),
            failed => Err(failed.join("; ")),
        }
    }

    /// The same for the containers of the tasks of a group: `name.0`, `name.1`, ...
    ///
    /// # Errors
    /// As [`Self::destroy`].
    pub fn destroy_members(&self, name: &str) -> Result<(), String> {
        let prefix = format!("{name}.");
        let left = self.isolators.iter().flat_map(|(_, i)| i.left());
        let members: BTreeSet<_> = left.filter(|left| left.starts_with(&prefix)).collect();
        let failed = members.iter().filter_map(|name| self.destroy(name).err());
        match failed.collect::<Vec<_>>() {
            failed if failed.is_empty() => Ok(()),
            failed => Err(failed.join("; ")),
        }
    }

    /// Containers that something is left of and that are not among `known`.
    pub fn orphans(&self, known: &BTreeSet<String>) -> BTreeSet<String> {
        let left = self.isolators.iter().flat_map(|(_, i)| i.left());
        let left = left.chain(self.oci.iter().flat_map(Isolator::left));
        left.filter(|name| !known.contains(name)).collect()
    }
}

/// A plan for what comes to the container of a plan, whose launcher is `process`.
fn beside(plan: &Plan, process: ProcessIdentity, spec: &LaunchSpec) -> Result<Plan, LaunchError> {
    let inside = match &plan.runtime {
        None => process.children().into_iter().next(),
        Some(runtime) => fs::read_to_string(runtime.pid_file())
            .ok()
            .filter(|_| process.is_alive())
            .and_then(|text| text.trim().parse().ok()),
    };
    let gone = || io::Error::other(format!("{process} has ended"));
    Ok(Plan {
        program: spec.program.clone(),
        name: spec.name.clone(),
        arguments: spec.arguments.clone(),
        enter: Some(inside.ok_or_else(|| LaunchError::Launcher { source: gone() })?),
        cgroups: match &plan.runtime {
            None => plan.cgroups.clone(),
            Some(_) => plan
                .cgroups
                .iter()
                .map(|file| oci::entrance(file))
                .collect(),
        },
        runtime: None,
        root: None,
        hostname: None,
        memory: None,
        disk: None,
        ..plan.clone()
    })
}
