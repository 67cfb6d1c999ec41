//! Launching: how long until a command runs, and until a container that ran `true` is gone; many tasks
//! of one agent; an agent that is started again.
//!
//! | case | from, to |
//! |---|---|
//! | `posix` | the call, until the program is executed; what needs no privileges, by a launcher that waits, as in executors |
//! | `posix/cold` | the same by a launcher that is started then, as for checks |
//! | `linux` | the call, until the program has ended and nothing of its container is left; all defaults |
//! | `image` | as `linux`, over the layers of an image that is there (docs/images.md) |
//! | `rss-512` | the same, with 512 MiB in use by this process |
//! | `linux/to-gone/vs-crun` | `linux`, against crun on the same bundle, in turns |
//! | `scale` | ACCEPT of 1,000 tasks of `sleep`, until all run; the order to end them, until all have ended |
//! | `restart` | the start of an agent that was killed with 500 tasks, until the master has it back with all of them |
//!
//! The floor of the first, in the same run and in turns with the others: the same program spawned by
//! this process (`posix_spawn`), until it is executed, and until it is waited for. Tasks of `scale` and
//! `restart` are isolated, each with an executor; master and agent are processes.
//! `cargo bench --bench launch`, or `-- only=single`, `only=crun`, `only=scale`, `only=restart`; as root, or the
//! `linux` rows are left out.

mod figures;
mod nodes;
#[path = "launch/runtime.rs"]
mod runtime;
#[path = "launch/scale.rs"]
mod scale;
#[path = "launch/single.rs"]
mod single;

fn main() {
    let only = std::env::args().find_map(|arg| arg.strip_prefix("only=").map(str::to_owned));
    let parts: [(&str, fn()); 4] = [
        ("single", single::run),
        ("crun", runtime::beside_crun),
        ("scale", scale::launch_and_destroy),
        ("restart", scale::restart),
    ];
    for (name, part) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            part();
        }
    }
}
