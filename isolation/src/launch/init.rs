//! The first process of a pid namespace: sets the container up, starts the process, then passes
//! signals on and collects orphans until the process ends.
//!
//! The kernel does not deliver to it what it has no handler for, so that a program in its place
//! would not end on SIGTERM. Its end is the end of the namespace.

use std::{fs::File, io::Write as _};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
        signalfd::SignalFd,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{ForkResult, Pid},
};

use super::{plan::Plan, process, raw, report::Stage, supervisor::Pipes, user};
use crate::process::{Ended, told};

/// What the init keeps of its powers: to pass signals on to a process of another user.
const KEPT: &[&str] = &["CAP_KILL"];

/// Never returns: ends with the status of the process.
pub(super) fn run(plan: &Plan, pipes: Pipes, signals: &SignalFd) -> ! {
    let set_up = prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| super::Failure::of(Stage::Fork, "the init", errno))
        .and_then(|()| process::enter(plan));
    if let Err(failure) = set_up {
        process::give_up(&pipes, &failure);
    }
    let child = match raw::fork() {
        Ok(ForkResult::Child) => process::become_program(plan, pipes),
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => process::give_up(
            &pipes,
            &super::Failure::of(Stage::Fork, &plan.program, errno),
        ),
    };
    let Pipes { failure, status } = pipes;
    drop(failure);
    // Nothing in the container can reach it; it gives its powers up all the same.
    let kept: Vec<String> = KEPT.iter().map(|&name| name.to_owned()).collect();
    let _ = user::keep_only(&kept);
    let ended = until_ended(child, signals);
    let text = serde_json::to_vec(&ended).unwrap_or_default();
    let _ = File::from(status).write_all(&text);
    raw::exit(ended.exit_code().unwrap_or(1));
}

fn until_ended(child: Pid, signals: &SignalFd) -> Ended {
    let mut wake = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(signals),
        nix::poll::PollFlags::POLLIN,
    )];
    loop {
        let _ = nix::poll::poll(&mut wake, nix::poll::PollTimeout::NONE);
        while let Ok(Some(signal)) = signals.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            pass_on(child, number);
        }
        if let Some(ended) = collect(child) {
            return ended;
        }
    }
}

/// To the group of the process, as a terminal or an executor would send it.
fn pass_on(child: Pid, number: i32) {
    match Signal::try_from(number) {
        Ok(Signal::SIGCHLD) | Err(_) => {}
        Ok(signal) => {
            if killpg(child, signal).is_err() {
                let _ = kill(child, signal);
            }
        }
    }
}

/// Collects all that ended; returns how the process did, once it has.
fn collect(child: Pid) -> Option<Ended> {
    loop {
        let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => told(status)?,
            Err(nix::errno::Errno::ECHILD) => return Some(Ended::Unseen),
            Err(_) => return None,
        };
        if pid == child {
            return Some(ended);
        }
    }
}
