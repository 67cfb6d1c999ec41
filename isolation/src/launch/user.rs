//! Becoming another user, with no more capabilities than are meant.

use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};

use super::{
    plan::User,
    report::{Failure, Stage},
};

/// Becomes `user`, or stays who it is, with only `capabilities` left for good.
pub(super) fn become_user(
    user: Option<&User>,
    capabilities: Option<&[String]>,
) -> Result<(), Failure> {
    let kept = capabilities.map(parse).transpose()?;
    if let Some(kept) = &kept {
        // Needs the capability that the change of user takes away.
        bound(kept)?;
    }
    if let Some(user) = user {
        let keeps = kept.as_ref().is_some_and(|kept| !kept.is_empty());
        let failed = |errno| Failure::of(Stage::User, user.uid, errno);
        prctl::set_keepcaps(keeps).map_err(failed)?;
        change(user).map_err(failed)?;
    }
    match &kept {
        Some(kept) => restrict(kept),
        None => Ok(()),
    }
}

/// Gives up all capabilities but these, for the calling process and all that come of it.
pub(super) fn keep_only(capabilities: &[String]) -> Result<(), Failure> {
    let kept = parse(capabilities)?;
    bound(&kept)?;
    restrict(&kept)
}

fn change(user: &User) -> nix::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// The capability that a name stands for, with `CAP_` or without.
pub(crate) fn capability(name: &str) -> Option<Capability> {
    caps::to_canonical(name).parse().ok()
}

fn parse(names: &[String]) -> Result<CapsHashSet, Failure> {
    let parsed = names.iter().map(|name| {
        capability(name).ok_or_else(|| Failure::of(Stage::Capabilities, name, Errno::EINVAL))
    });
    parsed.collect()
}

/// What may be had ever again, also by executing a program.
fn bound(kept: &CapsHashSet) -> Result<(), Failure> {
    let bounding = caps::read(None, CapSet::Bounding).map_err(|_| refused("bounding"))?;
    for capability in bounding.difference(kept) {
        caps::drop(None, CapSet::Bounding, *capability)
            .map_err(|_| refused(&capability.to_string()))?;
    }
    Ok(())
}

/// What is had now, and stays when a program is executed.
fn restrict(kept: &CapsHashSet) -> Result<(), Failure> {
    let set = |set, what| caps::set(None, set, kept).map_err(|_| refused(what));
    caps::clear(None, CapSet::Ambient).map_err(|_| refused("ambient"))?;
    set(CapSet::Inheritable, "inheritable")?;
    set(CapSet::Effective, "effective")?;
    set(CapSet::Permitted, "permitted")?;
    if !kept.is_empty() {
        set(CapSet::Ambient, "ambient")?;
    }
    Ok(())
}

fn refused(what: &str) -> Failure {
    Failure::of(Stage::Capabilities, what, Errno::EPERM)
}
