//! The identity of the machine's current boot: process ids of another boot mean nothing.

use std::{fs, io};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's random id of this boot.
///
/// # Errors
/// What reading the kernel's file says.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_id_is_stable_while_the_machine_runs() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(boot_id().unwrap(), id);
    }
}
