//! Which classes of jobs fit at present, and which roles have one of theirs in front.
//!
//! ```text
//!   open --(a try does not fit)--> closed --(something came free and it fits)--> open
//! ```
//! A class that closed is blocked in the tree only when another one is still open, so that a full cluster costs nothing.

use std::collections::BTreeSet;

#[derive(Clone, Debug, Default)]
struct Class {
    /// Roles whose first job is of this class.
    roles: Vec<u32>,
    is_closed: bool,
}

/// The classes.
#[derive(Debug)]
pub(in crate::policy) struct Classes {
    classes: Vec<Class>,
    /// Closed ones with roles.
    closed: BTreeSet<u32>,
    /// Open ones with roles.
    opened: BTreeSet<u32>,
    /// Closed, but not blocked in the tree yet.
    to_block: Vec<u32>,
}

impl Classes {
    pub(in crate::policy) fn new(count: usize) -> Self {
        Self {
            classes: vec![Class::default(); count],
            closed: BTreeSet::new(),
            opened: BTreeSet::new(),
            to_block: Vec::new(),
        }
    }

    /// A role has a job of the class in front; whether that is open.
    pub(in crate::policy) fn join(&mut self, class: u32, role: u32) -> bool {
        let of = &mut self.classes[class as usize];
        if of.roles.is_empty() {
            // Nobody looked after it meanwhile: it may fit.
            of.is_closed = false;
        }
        of.roles.push(role);
        let is_open = !of.is_closed;
        if is_open {
            self.opened.insert(class)
        } else {
            self.closed.insert(class)
        };
        is_open
    }

    /// A role has no job of the class in front any more.
    pub(in crate::policy) fn leave(&mut self, class: u32, role: u32) {
        let roles = &mut self.classes[class as usize].roles;
        if let Some(at) = roles.iter().position(|&other| other == role) {
            roles.swap_remove(at);
        }
        if roles.is_empty() {
            self.opened.remove(&class);
            self.closed.remove(&class);
        }
    }

    /// Roles with a job of the class in front.
    pub(in crate::policy) fn roles(&self, class: u32) -> &[u32] {
        &self.classes[class as usize].roles
    }

    pub(in crate::policy) fn any_open(&self) -> bool {
        !self.opened.is_empty()
    }

    pub(in crate::policy) fn closed(&self) -> Vec<u32> {
        self.closed.iter().copied().collect()
    }

    pub(in crate::policy) fn opened(&self) -> impl Iterator<Item = u32> {
        self.opened.iter().copied()
    }

    pub(in crate::policy) fn is_open(&self, class: u32) -> bool {
        self.opened.contains(&class)
    }

    /// A job of the class did not fit.
    pub(in crate::policy) fn close(&mut self, class: u32) {
        self.classes[class as usize].is_closed = true;
        if self.opened.remove(&class) {
            self.closed.insert(class);
            self.to_block.push(class);
        }
    }

    /// A job of the class fits.
    pub(in crate::policy) fn open(&mut self, class: u32) {
        self.classes[class as usize].is_closed = false;
        if self.closed.remove(&class) {
            self.opened.insert(class);
        }
    }

    /// Classes whose roles are to be blocked now.
    pub(in crate::policy) fn take_to_block(&mut self) -> Vec<u32> {
        let mut classes = std::mem::take(&mut self.to_block);
        // Some have opened again since, with other roles.
        classes.retain(|class| self.closed.contains(class));
        classes
    }
}
