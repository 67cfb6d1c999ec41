//! The launcher: makes the process, reports, watches its limits, waits for its end.
//!
//! It stays in the machine's namespaces and cgroups, so that a task that runs out of anything does
//! not take its watcher along. Signals to its group are not for it: the init, or the process itself
//! where there is no init, is in the same group and gets them as well.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{self, ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2},
};

use super::{
    disk, init,
    memory::Watcher,
    outputs::receive_outputs,
    plan::{Namespace, Plan},
    process, raw,
    report::{Failure, Limitation, Report, Stage, read_frame, write_frame},
};
use crate::{
    isolators::oci,
    process::{Ended, told},
};

/// The descriptors above the standard ones are nobody's business.
const FIRST_OTHER: u32 = 3;

/// The event of a memory limit comes before the kill that it tells of: for a second the counter is
/// looked at again, every 10 ms.
const LOOKS: u32 = 100;
const LOOK_AGAIN_MS: u16 = 10;

/// Runs a launcher on the socket that is this process's standard input. For the start of `main`,
/// before any thread is made.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("launcher: {error}; it is started by agents and executors");
            ExitCode::FAILURE
        }
    }
}

/// The same in a process that was forked off another program, on this socket.
pub(super) fn take_over(control: UnixStream) -> ! {
    let ready = dup2_stdin(&control)
        .map_err(io::Error::from)
        .and_then(|()| {
            let nowhere = File::options().write(true).open("/dev/null")?;
            dup2_stdout(&nowhere)?;
            dup2_stderr(&nowhere)?;
            unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            unistd::chdir("/")?;
            // What it is, for those who look for it; and what it must not hand on to what it launches.
            raw::forget_origin(b"launch")
        });
    // All that is open is closed when it begins.
    std::mem::forget(control);
    raw::exit(match ready.and_then(|()| run()) {
        Ok(()) => 0,
        Err(_) => 1,
    })
}

fn run() -> io::Result<()> {
    // Without it (old kernels), what the caller left open without close-on-exec stays open.
    let _ = raw::close_from(FIRST_OTHER);
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some([stdout, stderr]) = receive_outputs(&control)? else {
        // It was started ahead, and nothing came to be launched.
        return Ok(());
    };
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    let plan: Plan = read_frame(&mut control)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let input = plan.input.as_deref().unwrap_or(Path::new("/dev/null"));
    if let Err(error) = File::open(input).and_then(|input| Ok(dup2_stdin(input)?)) {
        let failure = process::failure(Stage::Plan, input, &error);
        return write_frame(&mut control, &Report::Failed(failure));
    }
    match Supervisor::start(&plan, control.try_clone()?) {
        Ok(supervisor) => {
            write_frame(&mut control, &Report::Started)?;
            supervisor.run(&plan, control)
        }
        Err(failure) => write_frame(&mut control, &Report::Failed(failure)),
    }
}

/// The pipes between the launcher and its child.
pub(super) struct Pipes {
    /// Takes the failure of a step; closed by a successful `exec`.
    pub(super) failure: OwnedFd,
    /// Takes how the process ended, from an init.
    pub(super) status: OwnedFd,
}

struct Supervisor {
    child: Pid,
    signals: SignalFd,
    memory: Option<Watcher>,
    status: File,
}

impl Supervisor {
    fn start(plan: &Plan, control: UnixStream) -> Result<Self, Failure> {
        let plain = |stage, errno| Failure::of(stage, &plan.program, errno);
        let mask = SigSet::all();
        let signals = mask
            .thread_block()
            .and_then(|()| {
                SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            })
            .map_err(|errno| plain(Stage::Fork, errno))?;
        let memory = plan.memory.as_ref().map(Watcher::of).transpose()?;
        let has_pids = plan.namespaces.contains(&Namespace::Pid) && plan.runtime.is_none();
        let has_init = has_pids && plan.enter.is_none();
        if let Some(inside) = plan.enter.filter(|_| has_pids) {
            // Whoever it forks is in it.
            process::join(inside, Namespace::Pid)?;
        }
        if has_init {
            unshare(CloneFlags::CLONE_NEWPID)
                .map_err(|errno| Failure::of(Stage::Namespace, Namespace::Pid, errno))?;
        }
        let pipes = || pipe2(OFlag::O_CLOEXEC).map_err(|errno| plain(Stage::Fork, errno));
        let ((failure, failure_in), (status, status_in)) = (pipes()?, pipes()?);
        let pipes = Pipes {
            failure: failure_in,
            status: status_in,
        };
        match raw::fork().map_err(|errno| plain(Stage::Fork, errno))? {
            ForkResult::Child => {
                // What it keeps open would keep the others from seeing an end.
                drop((control, failure, status, memory));
                match has_init {
                    true => init::run(plan, pipes, &signals),
                    false => process::run(plan, pipes),
                }
            }
            ForkResult::Parent { child } => {
                drop(pipes);
                let supervisor = Self {
                    child,
                    signals,
                    memory,
                    status: File::from(status),
                };
                supervisor.until_executed(failure)?;
                Ok(supervisor)
            }
        }
    }

    /// Waits until the program runs, or for the step that failed.
    fn until_executed(&self, failure: OwnedFd) -> Result<(), Failure> {
        let mut text = Vec::new();
        let read = File::from(failure).read_to_end(&mut text);
        if read.is_ok() && text.is_empty() {
            return Ok(());
        }
        let _ = kill(self.child, Signal::SIGKILL);
        let _ = waitpid(self.child, None);
        Err(serde_json::from_slice(&text)
            .unwrap_or_else(|_| Failure::of(Stage::Fork, "the report", Errno::EIO)))
    }

    fn run(self, plan: &Plan, mut control: UnixStream) -> io::Result<()> {
        let mut limitation: Option<Limitation> = None;
        let mut looks = 0;
        let interval = plan.disk.as_ref().map(|d| d.interval_ms);
        let timeout = interval.map_or(PollTimeout::NONE, |ms| {
            PollTimeout::try_from(Duration::from_millis(ms)).unwrap_or(PollTimeout::MAX)
        });
        let ended = loop {
            let soon = looks > 0 && limitation.is_none();
            let woken = self.wait(if soon { LOOK_AGAIN_MS.into() } else { timeout })?;
            if let Some(ended) = self.collect()? {
                break ended;
            }
            let is_event = self.memory.as_ref().is_some_and(Watcher::take_event);
            looks = if is_event {
                LOOKS
            } else {
                looks.saturating_sub(1)
            };
            let found = match woken || soon {
                true => self.memory.as_ref().and_then(Watcher::exceeded),
                false => plan.disk.as_ref().and_then(disk::exceeded),
            };
            if limitation.is_none() && found.is_some() {
                limitation = found;
                self.end_all(plan);
            }
        };
        // The end may have come first.
        let limitation = limitation.or_else(|| self.memory.as_ref().and_then(Watcher::exceeded));
        if let Some(limitation) = limitation {
            write_frame(&mut control, &Report::Limited(limitation))?;
        }
        write_frame(&mut control, &Report::Ended(ended))
    }

    /// Waits for a signal, an event of the memory limit, or the time to look at the disk. Returns
    /// whether something happened before that time.
    fn wait(&self, timeout: PollTimeout) -> nix::Result<bool> {
        let mut awaited = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(memory) = &self.memory {
            awaited.push(PollFd::new(memory.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut awaited, timeout) {
            Err(Errno::EINTR) => Ok(true),
            ready => ready.map(|count| count > 0),
        }
    }

    /// How the child ended, if it has.
    fn collect(&self) -> nix::Result<Option<Ended>> {
        while self.signals.read_signal()?.is_some() {}
        let status = waitpid(self.child, Some(WaitPidFlag::WNOHANG))?;
        let Some((_, ended)) = told(status) else {
            return Ok(None);
        };
        // An init tells more: it cannot end by a signal as its process did.
        let mut text = Vec::new();
        let read = (&self.status).read_to_end(&mut text);
        Ok(Some(match read {
            Ok(_) => serde_json::from_slice(&text).unwrap_or(ended),
            Err(_) => ended,
        }))
    }

    /// Ends all processes of the container.
    fn end_all(&self, plan: &Plan) {
        let _ = kill(self.child, Signal::SIGKILL);
        let runtimes = plan.cgroups.iter().map(|file| oci::entrance(file));
        let runtimes = runtimes.filter(|_| plan.runtime.is_some());
        for file in plan.cgroups.iter().cloned().chain(runtimes) {
            let members = std::fs::read_to_string(file).unwrap_or_default();
            for pid in members.lines().filter_map(|line| line.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}
