//! The agent: offers a machine's resources, starts executors for the tasks it is given, and sees to
//! it that every status update reaches the scheduler, whatever restarts in between.
//!
//! ```text
//!             RunTask, KillTask, acknowledgements            Launch, Kill, Acknowledged
//!   master -----------------------------------------> agent ----------------------------> executor
//!          <----------------------------------------- | ^ | <----------------------------
//!             Reregister, StatusUpdate, Pong          | | |  Register, Update
//!                                         StateStore <+ | +> Launcher (processes, sandboxes)
//!                                     (written before it is acted on)
//! ```
//! | part | file |
//! |---|---|
//! | what it knows and decides, without any I/O | [`agent`] |
//! | what it wants done | [`effects`] |
//! | what survives its restart | [`records`] |
//! | the actor around it | [`actor`] |
//! | what containers use, over HTTP | [`monitor`] |
//! | starting and killing executors: the seam, and the real thing | [`launcher`] |

pub mod actor;
pub mod agent;
pub mod config;
pub mod effects;
pub mod launcher;
pub mod monitor;
pub mod records;

pub use actor::{AgentActor, StartError, StopAgent};
pub use agent::{Agent, RecoveryError};
pub use config::{AgentConfig, Door};
pub use launcher::{ExecutorLaunch, ExecutorRun, Launched, Launcher, SystemLauncher};
