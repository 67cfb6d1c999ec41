//! Typed ids. Each is a short text; a value of one kind cannot be passed for another.
//!
//! Rules (Mesos's, inventory 7.6): 1 to 255 bytes, not `.` or `..`, no slash, no control
//! character, no blank. They hold for every value, also one that came over the wire.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id {text:?}: {problem}")]
pub struct InvalidId {
    /// What the id would have named, as `task`.
    pub kind: &'static str,
    /// The refused text.
    pub text: String,
    /// The rule it breaks.
    pub problem: &'static str,
}

fn check(kind: &'static str, text: &str) -> Result<(), InvalidId> {
    let problem = if text.is_empty() {
        "must not be empty"
    } else if text.len() > 255 {
        "must have at most 255 bytes"
    } else if text == "." || text == ".." {
        "must not be `.` or `..`"
    } else if text.contains('/') {
        "must not contain `/`"
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "must not contain blanks or control characters"
    } else {
        return Ok(());
    };
    Err(InvalidId {
        kind,
        text: text.to_owned(),
        problem,
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it an id.
            ///
            /// # Errors
            /// [`InvalidId`] when the text breaks a rule of this module.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                check($kind, text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    )*};
}

ids! {
    /// Names one run of a master; fresh at each start.
    MasterId = "master";
    /// Names an agent for life, `<master id>-S<n>`.
    AgentId = "agent";
    /// Names a framework for life, `<master id>-<nnnn>`.
    FrameworkId = "framework";
    /// Names an offer, `<master id>-O<n>`.
    OfferId = "offer";
    /// Names a task; chosen by the framework, unique within it.
    TaskId = "task";
    /// Names an executor; chosen by the framework, unique within it and an agent.
    ExecutorId = "executor";
    /// Names an operation; chosen by the framework, unique among those whose status it has not acknowledged.
    OperationId = "operation";
}

impl AgentId {
    /// The `n`-th agent admitted by `master`.
    pub fn nth(master: &MasterId, n: u64) -> Self {
        Self(format!("{master}-S{n}").into())
    }
}

impl FrameworkId {
    /// The `n`-th framework admitted by `master`.
    pub fn nth(master: &MasterId, n: u64) -> Self {
        Self(format!("{master}-{n:04}").into())
    }
}

impl OfferId {
    /// The `n`-th offer made by `master`.
    pub fn nth(master: &MasterId, n: u64) -> Self {
        Self(format!("{master}-O{n}").into())
    }
}

impl ExecutorId {
    /// The id of the command executor that runs `task` and nothing else.
    pub fn of_command_task(task: &TaskId) -> Self {
        Self(task.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ids_are_refused_with_the_rule() {
        for (text, rule) in [
            ("", "empty"),
            ("a/b", "`/`"),
            ("..", "`..`"),
            ("a b", "blanks"),
            ("a\u{7}", "control"),
        ] {
            let error = TaskId::new(text).unwrap_err().to_string();
            assert!(
                error.starts_with("task id") && error.contains(rule),
                "{error}"
            );
        }
        assert!(TaskId::new("x".repeat(256)).is_err());
        assert!(TaskId::new("x".repeat(255)).is_ok());
    }

    #[test]
    fn an_id_from_the_wire_is_checked_too() {
        assert!(serde_json::from_str::<AgentId>("\"a/b\"").is_err());
        let id: AgentId = serde_json::from_str("\"m-S1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"m-S1\"");
    }

    #[test]
    fn ids_are_numbered_as_mesos_does() {
        let master = MasterId::new("m").unwrap();
        assert_eq!(AgentId::nth(&master, 3).as_str(), "m-S3");
        assert_eq!(FrameworkId::nth(&master, 7).as_str(), "m-0007");
        assert_eq!(OfferId::nth(&master, 12).as_str(), "m-O12");
    }
}
