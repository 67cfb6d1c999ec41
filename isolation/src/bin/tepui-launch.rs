//! The launcher as a program of its own, for tests of this package; `tepui launch` is the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    tepui_isolation::launch::main()
}
