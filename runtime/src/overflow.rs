//! What happens to a message for which a mailbox has no room.

/// An actor's policy for messages that find its mailbox full; see
/// [`SpawnOptions::overflow`](crate::SpawnOptions::overflow).
///
/// | | `tell` | `tell_wait` | `ask` | from another node |
/// |---|---|---|---|---|
/// | `Wait` | message back | waits | waits, within its deadline | the link waits |
/// | `Fail` | message back | message back | refused | dead letter, asker refused |
/// | `DropNewest` | dead letter | dead letter | refused | dead letter, asker refused |
/// | `DropOldest` | taken, the oldest is a dead letter | same | same | same |
/// | `StopActor` | message back, actor ends | same | refused, actor ends | dead letter, actor ends |
///
/// An asker whose question was the oldest is told that no reply will come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Whoever can wait waits, and whoever cannot has its message back.
    #[default]
    Wait,
    /// The sender has its message back.
    Fail,
    /// The message is dropped.
    DropNewest,
    /// The oldest message in the mailbox is dropped.
    DropOldest,
    /// The actor ends as crashed, whatever its supervision says.
    StopActor,
}
