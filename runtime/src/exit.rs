//! How an actor's life ends, and the notice of it that links and monitors deliver.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{Message, pid::AnyPid};

/// Why an actor can no longer be reached.
///
/// On the wire a reason that this node does not know (a newer node's) reads as
/// [`ExitReason::Crashed`] with its name; no notice is lost over it. Match with a wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum ExitReason {
    /// It stopped of its own will or was asked to.
    Stopped,
    /// It panicked: in a handler, a timer, a future of its own, its start or its end.
    Crashed(String),
    /// It gave up with an error: [`Context::fail`](crate::Context::fail), or a supervisor whose
    /// restart intensity was exceeded.
    Failed(String),
    /// It was killed: [`Node::kill`](crate::Node::kill), or a supervisor whose patience was over.
    Killed,
    /// Its node has ended, or runs again as another incarnation.
    NodeDown,
    /// Its node does not answer: dead or cut off, nobody can tell.
    Unreachable,
    /// Nobody bears the name, or the incarnation that was meant is over.
    NoSuchActor,
}

impl ExitReason {
    /// Whether a transient child is not made anew: it stopped as it was meant to.
    pub fn is_normal(&self) -> bool {
        matches!(self, ExitReason::Stopped)
    }

    /// The nearest reason that nodes of protocol 1 know, where they do not know this one.
    pub(crate) fn for_older_nodes(&self) -> Option<ExitReason> {
        match self {
            ExitReason::Failed(why) => Some(ExitReason::Crashed(why.clone())),
            ExitReason::Killed => Some(ExitReason::Crashed("killed".into())),
            _ => None,
        }
    }

    fn named(name: &str, why: Option<String>) -> Self {
        match (name, why) {
            ("Stopped", None) => ExitReason::Stopped,
            ("Crashed", Some(why)) => ExitReason::Crashed(why),
            ("Failed", Some(why)) => ExitReason::Failed(why),
            ("Killed", None) => ExitReason::Killed,
            ("NodeDown", None) => ExitReason::NodeDown,
            ("Unreachable", None) => ExitReason::Unreachable,
            ("NoSuchActor", None) => ExitReason::NoSuchActor,
            (name, why) => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                ExitReason::Crashed(format!("{name} (a reason of a newer node){why}"))
            }
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Stopped => write!(f, "stopped"),
            ExitReason::Crashed(why) => write!(f, "crashed: {why}"),
            ExitReason::Failed(why) => write!(f, "failed: {why}"),
            ExitReason::Killed => write!(f, "killed"),
            ExitReason::NodeDown => write!(f, "node down"),
            ExitReason::Unreachable => write!(f, "unreachable"),
            ExitReason::NoSuchActor => write!(f, "no such actor"),
        }
    }
}

impl<'de> Deserialize<'de> for ExitReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a name, or a map of a name to its explanation, as derived code writes variants.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = ExitReason;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an exit reason")
    }

    fn visit_str<E>(self, name: &str) -> Result<ExitReason, E> {
        Ok(ExitReason::named(name, None))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ExitReason, M::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Ok(ExitReason::named("nothing", None));
        };
        let reason = match name.as_str() {
            "Crashed" | "Failed" => ExitReason::named(&name, Some(map.next_value()?)),
            _ => {
                map.next_value::<IgnoredAny>()?;
                ExitReason::named(&name, None)
            }
        };
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(reason)
    }
}

/// Delivered exactly once to each actor that linked or monitored `pid`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Exited")]
pub struct Exited {
    /// Who.
    pub pid: AnyPid,
    /// How it ended.
    pub reason: ExitReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Newer {
        Crashed(String),
        Rebooted,
        Moved { to: String },
    }

    fn read(value: &impl Serialize) -> ExitReason {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(value).unwrap()).unwrap()
    }

    #[test]
    fn reasons_survive_the_wire_and_unknown_ones_are_read_as_crashes() {
        let all = [
            ExitReason::Stopped,
            ExitReason::Crashed("a".into()),
            ExitReason::Failed("b".into()),
            ExitReason::Killed,
            ExitReason::NodeDown,
            ExitReason::Unreachable,
            ExitReason::NoSuchActor,
        ];
        for reason in all {
            assert_eq!(read(&reason), reason);
        }
        assert_eq!(
            read(&Newer::Crashed("a".into())),
            ExitReason::Crashed("a".into())
        );
        let moved = Newer::Moved { to: "x".into() };
        for (newer, name) in [(Newer::Rebooted, "Rebooted"), (moved, "Moved")] {
            let reason = read(&newer);
            assert!(
                matches!(&reason, ExitReason::Crashed(why) if why.starts_with(name)),
                "{reason:?}"
            );
        }
    }
}
