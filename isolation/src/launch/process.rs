//! The steps of a launch, in the order of [`Stage`], up to `exec`.
//!
//! [`enter`] is what concerns the container as a whole and needs privileges; [`become_program`] is
//! what the process does to itself, giving up one power after the other, so that nothing after a
//! step needs what the step gave up.

use std::{ffi::CString, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{self, execve},
};
use rustix::process::ioctl_tiocsctty;

use super::{
    plan::{Namespace, Plan, Rlimit},
    raw,
    report::{Failure, Stage},
    root, runtime, seccomp,
    supervisor::Pipes,
    user,
};

/// Where programs are looked up when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A process without an init: it stays in the launcher's group, so that a signal to that reaches
/// it, and ends with the launcher.
pub(super) fn run(plan: &Plan, pipes: Pipes) -> ! {
    let entered = prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| Failure::of(Stage::Fork, &plan.program, errno))
        .and_then(|()| match plan.terminal {
            true => own_session(),
            false => Ok(()),
        })
        .and_then(|()| match &plan.runtime {
            Some(runtime) => runtime::become_runtime(plan, runtime).map(|never| match never {}),
            None => enter(plan),
        });
    match entered.and_then(|()| finish(plan)) {
        Ok(never) => match never {},
        Err(failure) => give_up(&pipes, &failure),
    }
}

/// A process under an init: in a session of its own.
pub(super) fn become_program(plan: &Plan, pipes: Pipes) -> ! {
    match own_session().and_then(|()| finish(plan)) {
        Ok(never) => match never {},
        Err(failure) => give_up(&pipes, &failure),
    }
}

fn own_session() -> Result<(), Failure> {
    let session = unistd::setsid();
    session
        .map(drop)
        .map_err(|errno| Failure::of(Stage::Fork, "a session", errno))
}

/// Has the terminal that is its output control this session, and reads from it.
fn take_terminal() -> Result<(), Failure> {
    let taken = unistd::dup2_stdin(io::stdout())
        .map_err(io::Error::from)
        .and_then(|()| Ok(ioctl_tiocsctty(io::stdin())?));
    taken.map_err(|error| failure(Stage::Fork, "a session on the terminal", &error))
}

/// Tells the launcher which step failed.
pub(super) fn give_up(pipes: &Pipes, failure: &Failure) -> ! {
    let text = serde_json::to_vec(failure).unwrap_or_default();
    let _ = unistd::write(&pipes.failure, &text);
    raw::exit(127)
}

/// Cgroups, namespaces, file system, name.
pub(super) fn enter(plan: &Plan) -> Result<(), Failure> {
    for file in &plan.cgroups {
        // "0" is who writes it.
        fs::write(file, "0").map_err(|error| failure(Stage::Cgroup, file, &error))?;
    }
    for namespace in &plan.namespaces {
        match (namespace, plan.enter) {
            // The launcher has made or joined it, so that this process is in it.
            (Namespace::Pid, _) => {}
            // The mounts come last: the machine's /proc is needed until then.
            (namespace, Some(inside)) => join(inside, *namespace)?,
            (namespace, None) => match (&plan.network, namespace) {
                // It is there, with all that belongs into it.
                (Some(own), Namespace::Network) => join_file(&own.namespace, kind(*namespace).0)?,
                _ => unshare(kind(*namespace).0)
                    .map_err(|errno| Failure::of(Stage::Namespace, namespace, errno))?,
            },
        }
    }
    if let Some(tree) = &plan.root {
        root::enter(tree)?;
    }
    if let Some(name) = &plan.hostname {
        unistd::sethostname(name).map_err(|errno| Failure::of(Stage::Hostname, name, errno))?;
    }
    Ok(())
}

/// Enters a namespace of another process; that of process numbers is for its children alone.
pub(super) fn join(inside: u32, namespace: Namespace) -> Result<(), Failure> {
    let (flag, name) = kind(namespace);
    join_file(Path::new(&format!("/proc/{inside}/ns/{name}")), flag)
}

fn join_file(path: &Path, flag: CloneFlags) -> Result<(), Failure> {
    let file = fs::File::open(path).map_err(|error| failure(Stage::Namespace, path, &error))?;
    setns(file, flag).map_err(|errno| Failure::of(Stage::Namespace, path, errno))
}

fn kind(namespace: Namespace) -> (CloneFlags, &'static str) {
    match namespace {
        Namespace::Pid => (CloneFlags::CLONE_NEWPID, "pid"),
        Namespace::Ipc => (CloneFlags::CLONE_NEWIPC, "ipc"),
        Namespace::Uts => (CloneFlags::CLONE_NEWUTS, "uts"),
        Namespace::Mount => (CloneFlags::CLONE_NEWNS, "mnt"),
        Namespace::Cgroup => (CloneFlags::CLONE_NEWCGROUP, "cgroup"),
        Namespace::Network => (CloneFlags::CLONE_NEWNET, "net"),
    }
}

fn finish(plan: &Plan) -> Result<std::convert::Infallible, Failure> {
    if plan.terminal {
        take_terminal()?;
    }
    if let Some(score) = plan.oom_score_adj {
        let file = "/proc/self/oom_score_adj";
        fs::write(file, score.to_string()).map_err(|error| failure(Stage::Rlimit, file, &error))?;
    }
    for limit in &plan.rlimits {
        set_limit(limit).map_err(|errno| Failure::of(Stage::Rlimit, &limit.name, errno))?;
    }
    user::become_user(plan.user.as_ref(), plan.capabilities.as_deref())?;
    // A change of user takes it back.
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| Failure::of(Stage::Fork, &plan.program, errno))?;
    // As the user, who may not be let in.
    unistd::chdir(&plan.directory)
        .map_err(|errno| Failure::of(Stage::Directory, &plan.directory, errno))?;
    if plan.no_new_privileges || plan.syscalls.is_some() {
        prctl::set_no_new_privs()
            .map_err(|errno| Failure::of(Stage::NoNewPrivileges, &plan.program, errno))?;
    }
    raw::reset_signals().map_err(|errno| Failure::of(Stage::Fork, "signals", errno))?;
    let program = Executable::of(plan)?;
    if let Some(syscalls) = plan.syscalls {
        seccomp::apply(syscalls)?;
    }
    Err(Failure::of(Stage::Exec, &plan.program, program.exec()))
}

fn set_limit(limit: &Rlimit) -> nix::Result<()> {
    setrlimit(resource(&limit.name)?, limit.soft, limit.hard)
}

/// The resource of a name; `EINVAL` for one that there is not.
pub(crate) fn resource(name: &str) -> nix::Result<Resource> {
    Ok(match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return Err(Errno::EINVAL),
    })
}

/// What `execve` takes.
struct Executable {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Executable {
    fn of(plan: &Plan) -> Result<Self, Failure> {
        let text = |text: String| {
            CString::new(text).map_err(|_| Failure::of(Stage::Exec, &plan.program, Errno::EINVAL))
        };
        let path = plan.environment.get("PATH").map_or(DEFAULT_PATH, |p| p);
        let candidates = match plan.program.contains('/') {
            true => vec![plan.program.clone()],
            false => {
                let directories = path.split(':').filter(|directory| !directory.is_empty());
                directories
                    .map(|directory| format!("{directory}/{}", plan.program))
                    .collect()
            }
        };
        let name = plan.name.clone().unwrap_or_else(|| plan.program.clone());
        let arguments = std::iter::once(name).chain(plan.arguments.iter().cloned());
        let variables = plan.environment.iter();
        Ok(Self {
            candidates: candidates.into_iter().map(text).collect::<Result<_, _>>()?,
            arguments: arguments.map(text).collect::<Result<_, _>>()?,
            environment: variables
                .map(|(name, value)| text(format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Returns only when no candidate can be executed; a refusal counts more than an absence.
    fn exec(&self) -> Errno {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            match execve(candidate, &self.arguments, &self.environment) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => worst = Errno::EACCES,
                Err(errno) => return errno,
                Ok(never) => match never {},
            }
        }
        worst
    }
}

/// A failure of reading or writing a file.
pub(super) fn failure(
    stage: Stage,
    file: impl AsRef<std::path::Path>,
    error: &std::io::Error,
) -> Failure {
    let name = String::from_utf8_lossy(file.as_ref().as_os_str().as_bytes()).into_owned();
    Failure {
        stage,
        what: name,
        errno: error.raw_os_error().unwrap_or(Errno::EIO as i32),
    }
}
