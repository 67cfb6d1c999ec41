//! Groups: actors of all nodes under one name, to send to all of them or to one.

use std::fmt;

use super::{Membership, NotHere};
use crate::{AnyPid, Message, TellError};

/// A group of actors across nodes; see [`Membership::group`].
///
/// Its members leave it by ending, and with their node. What this node knows of it lags behind
/// the others by a message; a node that was cut off is heard of again when the cut heals.
#[derive(Clone)]
pub struct Group {
    membership: Membership,
    name: String,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.name)
    }
}

/// A message that went to no member of a group, with the message.
#[derive(Clone, PartialEq, Eq)]
pub enum SendError<M> {
    /// The group has no members.
    Empty(M),
    /// The member that was chosen did not take it.
    Tell(TellError<M>),
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({self})")
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Empty(_) => write!(f, "the group has no members"),
            SendError::Tell(error) => error.fmt(f),
        }
    }
}

impl<M> std::error::Error for SendError<M> {}

impl Group {
    pub(super) fn new(membership: Membership, name: &str) -> Self {
        let name = name.to_owned();
        Self { membership, name }
    }

    /// Puts `pid`, an actor of this node, into the group until it ends.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn join(&self, pid: &AnyPid) -> Result<(), NotHere> {
        let pid = self.membership.own(pid)?;
        self.membership.change(|view| {
            let members = view.own.groups.entry(self.name.clone()).or_default();
            members.insert(pid.clone());
        });
        self.membership.watch_end(pid);
        Ok(())
    }

    /// Takes `pid`, an actor of this node, out.
    pub fn leave(&self, pid: &AnyPid) {
        self.membership.change(|view| {
            let groups = &mut view.own.groups;
            if let Some(members) = groups.get_mut(&self.name) {
                members.retain(|member| member.any_incarnation() != pid.any_incarnation());
            }
            groups.retain(|_, members| !members.is_empty());
        });
    }

    /// The members, in order.
    pub fn members(&self) -> Vec<AnyPid> {
        self.membership.shared.view().members(&self.name)
    }

    /// Sends to all members, without waiting; returns how many took it or a link to them.
    pub fn broadcast<M: Message + Clone>(&self, message: &M) -> usize {
        let took = |pid: &AnyPid| self.membership.node.tell(pid, message.clone()).is_ok();
        self.members().iter().filter(|pid| took(pid)).count()
    }

    /// The next member in turn, as this node counts.
    pub fn any(&self) -> Option<AnyPid> {
        let mut view = self.membership.shared.view();
        let members = view.members(&self.name);
        let turn = view.turn(&self.name, members.len());
        members.into_iter().nth(turn)
    }

    /// A member at random, by the node's generator.
    pub fn random(&self) -> Option<AnyPid> {
        let members = self.members();
        let n = self
            .membership
            .node
            .random_u64()
            .checked_rem(members.len() as u64)?;
        members.into_iter().nth(usize::try_from(n).ok()?)
    }

    /// The member for which the fewest messages wait: of this node as it is, of others as last told
    /// (about once a second) plus what was sent with [`Group::tell_least_loaded`] since.
    pub fn least_loaded(&self) -> Option<AnyPid> {
        let (node, members) = (&self.membership.node, self.members());
        let view = self.membership.shared.view();
        let load = |pid: &AnyPid| match pid.node() == node.addr() {
            true => node.waiting(pid).unwrap_or(u64::MAX),
            false => view.load(pid),
        };
        members.into_iter().min_by_key(load)
    }

    /// Sends to the next member in turn.
    ///
    /// # Errors
    /// [`SendError`] with the message.
    pub fn tell_any<M: Message>(&self, message: M) -> Result<AnyPid, SendError<M>> {
        self.tell(self.any(), message)
    }

    /// Sends to the member for which the fewest messages wait.
    ///
    /// # Errors
    /// [`SendError`] with the message.
    pub fn tell_least_loaded<M: Message>(&self, message: M) -> Result<AnyPid, SendError<M>> {
        let pid = self.tell(self.least_loaded(), message)?;
        if pid.node() != self.membership.node.addr() {
            self.membership.shared.view().sent_to(&pid);
        }
        Ok(pid)
    }

    fn tell<M: Message>(&self, to: Option<AnyPid>, message: M) -> Result<AnyPid, SendError<M>> {
        let Some(pid) = to else {
            return Err(SendError::Empty(message));
        };
        let told = self.membership.node.tell(&pid, message);
        told.map(|()| pid).map_err(SendError::Tell)
    }
}
