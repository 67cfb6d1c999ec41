//! Processes of the operating system: one group each, in a container where the agent wants that,
//! started and watched by a thread.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::LocalBoxFuture;
use tepui_isolation::{
    Container, Containerizer, Ended, Image, LaunchSpec, Launched, Outcome, PrivateNetwork,
    ProcessIdentity, Signal, Wish,
    launch::{Plan, Program},
    process::{LaunchError, chain, family},
};
use tepui_protocol::{
    CommandInfo, ContainerStatus, GpuShare, Membership, NetworkInfo, NetworkMode, TaskId,
    lifecycle::Probe, messages::session::Refusal,
};
use tokio::sync::oneshot;

use super::{
    Processes, SessionIo, StartProbe, StartProcess, StartSession, Started, probes, session,
};
use crate::checker::ProbeResult;

/// The thread makes launch plans and waits; it needs little stack.
pub(super) const WATCHER_STACK: usize = 256 * 1024;
/// Where the output of checks goes: nobody reads it.
const NOWHERE: &str = "/dev/null";

/// Real processes, through `tepui-isolation`.
#[derive(Debug, Default)]
pub struct SystemProcesses {
    groups: Groups,
    live: Arc<AtomicUsize>,
    owns_descendants: bool,
    containers: Option<Containers>,
    /// Why no task can be started.
    refusal: Option<String>,
    launcher: Option<Program>,
}

/// The process groups of tasks that run, and what their launchers were told.
type Groups = Arc<Mutex<BTreeMap<TaskId, (ProcessIdentity, Option<Plan>)>>>;

/// In what containers an executor runs its tasks.
#[derive(Clone, Debug)]
pub struct Containers {
    /// Launches them.
    pub containerizer: Arc<Containerizer>,
    /// Their name: that of the executor's run, which has one task at a time; those of the tasks of a
    /// group have it with a number.
    pub name: String,
    /// Whom tasks run as; the agent's default where absent.
    pub user: Option<String>,
    /// The GPUs of the task.
    pub gpus: Vec<GpuShare>,
    /// The image of the task.
    pub image: Option<Image>,
}

impl SystemProcesses {
    /// Processes of a program that has children of other origin, whose orphans are left alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Processes of a program that has no other children: what tasks leave behind falls to it, and
    /// is killed when the last of them ends.
    pub fn owning_descendants() -> Self {
        // Where the kernel cannot do this, the agent still finds leftovers by their environment.
        let owns_descendants = family::adopt_orphans().is_ok();
        Self {
            owns_descendants,
            ..Self::default()
        }
    }

    /// The same with a launcher for commands beside tasks that are in no container; this very program
    /// where nothing is said.
    pub fn launched_by(self, launcher: Program) -> Self {
        let launcher = Some(launcher);
        Self { launcher, ..self }
    }

    /// The same, but no task can be started, for this reason.
    pub fn refusing(self, problem: String) -> Self {
        let refusal = Some(problem);
        Self { refusal, ..self }
    }

    /// The same in containers. The launcher of the first starts now, on a thread of its own, unless one waits.
    pub fn contained(self, containers: Containers) -> Self {
        let containerizer = containers.containerizer.clone();
        if !containerizer.is_ready() {
            let thread = std::thread::Builder::new().name("launcher".to_owned());
            // Without it, the first launch starts its launcher.
            let _ = thread
                .stack_size(WATCHER_STACK)
                .spawn(move || containerizer.get_ready());
        }
        let containers = Some(containers);
        Self { containers, ..self }
    }

    fn groups(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<TaskId, (ProcessIdentity, Option<Plan>)>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread of a process does.
struct Watch {
    /// What is to be there beside the sandbox, which is made as well if there are any.
    directories: Vec<PathBuf>,
    containers: Option<(Containers, Container)>,
    /// Whether the task asks for a network of its own.
    wants_network: bool,
    live: Arc<AtomicUsize>,
    owns_descendants: bool,
}

impl Watch {
    fn launch(&self, spec: &LaunchSpec) -> Result<Launched, String> {
        for directory in self
            .directories
            .iter()
            .flat_map(|shared| [shared, &spec.sandbox])
        {
            std::fs::create_dir_all(directory)
                .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        }
        let launched = match &self.containers {
            Some((containers, container)) => containers.containerizer.launch(container, spec),
            None if self.wants_network => return Err(Containerizer::NO_NETWORKS.to_owned()),
            None => spec.launch(),
        };
        launched.map_err(|error| chain(&error))
    }

    /// What is told of the container, where it has an address.
    fn status(&self, launched: &Launched) -> Option<ContainerStatus> {
        let address = launched.plan()?.network.as_ref()?.address;
        let (_, container) = self.containers.as_ref()?;
        let ports = container.network.as_ref()?.ports.clone();
        Some(ContainerStatus::of(address.into(), ports))
    }

    /// Waits for the end, and sees to it that nothing is left.
    fn finish(&self, launched: Launched) -> Outcome {
        let outcome = launched.wait().unwrap_or(Ended::Unseen.into());
        if let Some((containers, container)) = &self.containers
            && let Err(problem) = containers.containerizer.destroy(&container.name)
        {
            tracing::warn!(problem, "container not removed");
        }
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 && self.owns_descendants {
            // Survivors belong to another user or hang in the kernel; the agent looks again.
            let _ = family::kill_descendants();
        }
        outcome
    }
}

/// The network of its own that a task is to have, by what it asks for or its agent's rule.
fn private_network(start: &StartProcess, containers: &Containers) -> Option<PrivateNetwork> {
    let rule = || NetworkInfo {
        mode: containers.containerizer.network(),
        ..NetworkInfo::default()
    };
    let wish = start.network.clone().unwrap_or_else(rule);
    let ports = start.resources.ports().unwrap_or_default();
    (wish.mode == NetworkMode::Private).then(|| PrivateNetwork {
        ports: wish.published(&ports),
        egress_mbit: wish.egress_mbit,
        // The tasks of a group have one together.
        shared_as: start.member.as_ref().map(|_| containers.name.clone()),
    })
}

impl Processes for SystemProcesses {
    fn start(&mut self, start: &StartProcess) -> LocalBoxFuture<'static, Result<Started, String>> {
        if let Some(problem) = self.refusal.clone() {
            return Box::pin(async { Err(problem) });
        }
        let image = self
            .containers
            .as_ref()
            .and_then(|containers| containers.image.as_ref());
        let command = image.map(|image| image.command(&start.command));
        let spec = LaunchSpec::command(
            command.as_ref().unwrap_or(&start.command),
            start.environment.clone(),
            start.sandbox.clone(),
        );
        let watch = Watch {
            directories: start
                .member
                .iter()
                .map(|member| member.shared.clone())
                .collect(),
            containers: self.containers.clone().map(|containers| {
                let name = match &start.member {
                    Some(member) => Membership::container(&containers.name, member.index),
                    None => containers.name.clone(),
                };
                let container = Container {
                    user: containers.user.clone(),
                    gpus: containers.gpus.clone(),
                    shared: start.member.as_ref().map(|member| member.shared.clone()),
                    image: containers.image.clone(),
                    network: private_network(start, &containers),
                    ..Container::new(name, start.sandbox.clone(), &start.resources)
                };
                let container = container.limited(&start.limits);
                (containers, container)
            }),
            wants_network: start
                .network
                .as_ref()
                .is_some_and(|network| network.mode == NetworkMode::Private),
            live: self.live.clone(),
            owns_descendants: self.owns_descendants,
        };
        let (started, is_started) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let (groups, task) = (self.groups.clone(), start.task_id.clone());
        let work = move || {
            watch.live.fetch_add(1, Ordering::AcqRel);
            match watch.launch(&spec) {
                Ok(launched) => {
                    let identity = launched.identity();
                    let mut all = groups.lock().unwrap_or_else(PoisonError::into_inner);
                    all.insert(task, (identity, launched.plan().cloned()));
                    drop(all);
                    let _ = started.send(Ok((identity, watch.status(&launched))));
                    let _ = over.send(watch.finish(launched));
                }
                Err(problem) => {
                    watch.live.fetch_sub(1, Ordering::AcqRel);
                    let _ = started.send(Err(problem));
                }
            }
        };
        let thread = std::thread::Builder::new().name("watch".to_owned());
        let spawned = thread.stack_size(WATCHER_STACK).spawn(work);
        Box::pin(async move {
            spawned.map_err(|error| format!("cannot start a thread: {error}"))?;
            let (identity, container) = is_started
                .await
                .unwrap_or_else(|_| Err("launching stopped".to_owned()))?;
            Ok(Started {
                os_pid: identity.pid,
                container,
                ended: Box::pin(async { is_over.await.unwrap_or(Ended::Unseen.into()) }),
            })
        })
    }

    fn probe(&mut self, start: &StartProbe) -> LocalBoxFuture<'static, ProbeResult> {
        let StartProbe {
            task_id,
            probe,
            timeout,
            ..
        } = start.clone();
        let command = match &probe {
            Probe::Command(command) => command.clone(),
            Probe::Http { .. } | Probe::Tcp { .. } => CommandInfo::default(),
        };
        let (environment, sandbox) = (start.environment.clone(), start.sandbox.clone());
        let spec = LaunchSpec {
            outputs: [NOWHERE.to_owned(), NOWHERE.to_owned()],
            ..LaunchSpec::command(&command, environment, sandbox)
        };
        let running = self.groups().get(&task_id).cloned();
        let containers = self.containers.clone();
        let plan = running.as_ref().and_then(|(_, plan)| plan.as_ref());
        let address = plan.and_then(|plan| Some(plan.network.as_ref()?.address));
        let host = address.unwrap_or(std::net::Ipv4Addr::LOCALHOST);
        probes::look(probe, host.into(), timeout, move || {
            let (process, plan) = running.ok_or(ProbeResult::Killed)?;
            let launched = match (&containers, &plan) {
                (Some(containers), Some(plan)) => {
                    containers.containerizer.enter(plan, process, &spec)
                }
                _ => spec.launch(),
            };
            launched.map_err(|error| match error {
                LaunchError::Program { .. } => ProbeResult::Failed(chain(&error)),
                // The container may be about to end.
                error => {
                    tracing::warn!(problem = chain(&error), "check not done");
                    ProbeResult::Killed
                }
            })
        })
    }

    fn open(
        &mut self,
        start: &StartSession,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn SessionIo>, Refusal>> {
        let mark = start.session.to_string();
        let running = self.groups().get(&start.task_id).cloned();
        let containers = self.containers.clone();
        let launcher = self.launcher.clone().unwrap_or_else(Program::this);
        let wish = Wish {
            input: start.input,
            terminal: start.terminal,
        };
        let mut words = start.command.iter().cloned();
        let program = words.next().unwrap_or_default();
        let mut more = start.more_environment.clone();
        more.insert(session::MARK.to_owned(), mark.clone());
        let sandbox = start.sandbox.clone();
        let spec = LaunchSpec::new(program, words.collect(), more, sandbox);
        let environment = start.environment.clone();
        Box::pin(session::open(mark, move || match (running, containers) {
            (Some((process, Some(plan))), Some(containers)) => {
                let containerizer = &containers.containerizer;
                containerizer.open_session(&plan, process, &spec, wish)
            }
            _ => {
                let mut spec = spec;
                let more = std::mem::replace(&mut spec.environment, environment);
                spec.environment.extend(more);
                spec.open_session(&launcher, wish)
            }
        }))
    }

    fn signal(&mut self, task: &TaskId, signal: Signal) {
        if let Some((group, _)) = self.groups().get(task)
            && let Err(error) = group.signal_group(signal)
        {
            tracing::debug!(%task, %error, "signal not sent");
        }
    }
}
