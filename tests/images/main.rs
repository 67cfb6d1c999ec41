//! Images as a user of the cluster meets them: a master, an agent, layouts that the test makes of
//! busybox, and a real registry. Needs root, a static busybox and, for some, docker-registry; what is
//! absent is told in one line.

mod cluster;
mod layout;
#[path = "../cluster/node.rs"]
mod node;
mod registry;
mod tasks;
