//! The system calls that a task may not use.
//!
//! The default profile refuses what changes the machine or reaches around isolation: mounts,
//! namespaces, modules, clocks, keys, BPF, tracing of the kernel, io_uring. They fail with EPERM;
//! `clone3`, whose flags cannot be looked at, and the other calling convention of x86-64 fail with
//! ENOSYS, upon which libraries use `clone`. All else is allowed, so that ordinary programs run.

use std::collections::BTreeMap;

use nix::{errno::Errno, libc};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};
use serde_json::json;

use super::{
    plan::Syscalls,
    report::{Failure, Stage},
};

/// Refused with EPERM, whatever the arguments.
const REFUSED: &[(&str, i64)] = &[
    ("acct", libc::SYS_acct),
    ("add_key", libc::SYS_add_key),
    ("adjtimex", libc::SYS_adjtimex),
    ("bpf", libc::SYS_bpf),
    ("clock_adjtime", libc::SYS_clock_adjtime),
    ("clock_settime", libc::SYS_clock_settime),
    ("delete_module", libc::SYS_delete_module),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("finit_module", libc::SYS_finit_module),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("fspick", libc::SYS_fspick),
    ("init_module", libc::SYS_init_module),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("kcmp", libc::SYS_kcmp),
    ("kexec_load", libc::SYS_kexec_load),
    ("keyctl", libc::SYS_keyctl),
    ("lookup_dcookie", libc::SYS_lookup_dcookie),
    ("mount", libc::SYS_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("move_pages", libc::SYS_move_pages),
    ("name_to_handle_at", libc::SYS_name_to_handle_at),
    ("nfsservctl", libc::SYS_nfsservctl),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("open_tree", libc::SYS_open_tree),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("pivot_root", libc::SYS_pivot_root),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("quotactl", libc::SYS_quotactl),
    ("quotactl_fd", libc::SYS_quotactl_fd),
    ("reboot", libc::SYS_reboot),
    ("request_key", libc::SYS_request_key),
    ("setdomainname", libc::SYS_setdomainname),
    ("sethostname", libc::SYS_sethostname),
    ("setns", libc::SYS_setns),
    ("settimeofday", libc::SYS_settimeofday),
    ("swapoff", libc::SYS_swapoff),
    ("swapon", libc::SYS_swapon),
    ("syslog", libc::SYS_syslog),
    ("umount2", libc::SYS_umount2),
    ("unshare", libc::SYS_unshare),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("vhangup", libc::SYS_vhangup),
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[(&str, i64)] = &[
    ("ioperm", libc::SYS_ioperm),
    ("iopl", libc::SYS_iopl),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("modify_ldt", libc::SYS_modify_ldt),
    ("uselib", libc::SYS_uselib),
    ("ustat", libc::SYS_ustat),
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[(&str, i64)] = &[("kexec_file_load", libc::SYS_kexec_file_load)];

/// TIOCSTI types into a terminal, TIOCLINUX reads one.
const REFUSED_TERMINALS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The flags of `clone` that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Applies the profile to this process and all that come of it.
pub(super) fn apply(Syscalls::Default: Syscalls) -> Result<(), Failure> {
    let invalid = |_| Failure::of(Stage::Seccomp, "the default profile", Errno::EINVAL);
    for filter in [refused(), absent()] {
        let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(invalid)?;
        apply_filter(&program)
            .map_err(|_| Failure::of(Stage::Seccomp, "the default profile", Errno::EACCES))?;
    }
    if cfg!(target_arch = "x86_64") {
        apply_filter(&other_convention())
            .map_err(|_| Failure::of(Stage::Seccomp, "the default profile", Errno::EACCES))?;
    }
    Ok(())
}

/// Refuses the calls of the x32 convention, which have numbers of their own for the same calls:
/// load the number; at or above bit 30, answer ENOSYS.
fn other_convention() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0),
        step(AT_LEAST, 0, 1, 1 << 30),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | Errno::ENOSYS as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// The profile as OCI runtimes read it; that they refuse the other calling convention is their own doing.
pub(crate) fn as_oci() -> serde_json::Value {
    let all = REFUSED.iter().chain(REFUSED_HERE);
    let names: Vec<&str> = all.map(|(name, _)| *name).collect();
    let refuse = |names: &[&str], answer: Errno, arguments: serde_json::Value| {
        json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": answer as i32,
                "args": arguments })
    };
    let bits = (0..u64::BITS).map(|bit| 1u64 << bit);
    let namespaces = bits.filter(|bit| NAMESPACES & bit != 0).map(|bit| {
        let flag =
            json!([{ "index": 0, "value": bit, "valueTwo": bit, "op": "SCMP_CMP_MASKED_EQ" }]);
        refuse(&["clone"], Errno::EPERM, flag)
    });
    let terminals = REFUSED_TERMINALS.iter().map(|request| {
        let request = json!([{ "index": 1, "value": request, "op": "SCMP_CMP_EQ" }]);
        refuse(&["ioctl"], Errno::EPERM, request)
    });
    let plain = [
        refuse(&names, Errno::EPERM, json!([])),
        refuse(&["clone3"], Errno::ENOSYS, json!([])),
    ];
    let calls: Vec<_> = plain
        .into_iter()
        .chain(namespaces)
        .chain(terminals)
        .collect();
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls })
}

fn refused() -> Result<SeccompFilter, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|&(_, call)| (call, Vec::new()))
        .collect();
    rules.insert(libc::SYS_clone, one_bit_each(NAMESPACES)?);
    let ioctl = REFUSED_TERMINALS.map(|request| {
        SeccompRule::new(vec![SeccompCondition::new(
            1,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            request,
        )?])
    });
    rules.insert(
        libc::SYS_ioctl,
        ioctl.into_iter().collect::<Result<_, _>>()?,
    );
    filter(rules, Errno::EPERM)
}

/// A rule for each bit of `mask`, as a filter compares under a mask with one value.
fn one_bit_each(mask: u64) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let bits = (0..u64::BITS).map(|bit| 1u64 << bit);
    let rule = |bit| {
        SeccompRule::new(vec![SeccompCondition::new(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(bit),
            bit,
        )?])
    };
    bits.filter(|bit| mask & bit != 0).map(rule).collect()
}

fn absent() -> Result<SeccompFilter, seccompiler::BackendError> {
    filter(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        Errno::ENOSYS,
    )
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    answer: Errno,
) -> Result<SeccompFilter, seccompiler::BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let answer = SeccompAction::Errno(answer as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture)
}
