//! The files of a node's door: its address, and the secret that executors share with the agent.
//!
//! Both last as long as the work directory, because executors outlive their agent.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use tepui_runtime::{NodeAddr, Secret};

/// The file with the door's address.
pub(super) const ADDRESS: &str = "door";

const SECRET: &str = "door.secret";
const SECRET_MODE: u32 = 0o600;

/// The secret of the work directory, made if there is none.
///
/// # Errors
/// When the file can be neither read nor written, or holds something else.
pub(super) fn secret(work_dir: &Path) -> anyhow::Result<Secret> {
    let file = work_dir.join(SECRET);
    let named = || file.display().to_string();
    match fs::read_to_string(&file) {
        Ok(text) => text
            .parse::<Secret>()
            .with_context(named)
            .context("remove the file, and another one is made"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = Secret::generate().with_context(named)?;
            write(&file, &secret).with_context(named)?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(named),
    }
}

fn write(file: &Path, secret: &Secret) -> std::io::Result<()> {
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(SECRET_MODE);
    let mut opened = options.open(&new)?;
    opened.write_all(secret.to_text().as_bytes())?;
    opened.sync_all()?;
    fs::rename(&new, file)
}

/// The port of the last time, if nobody else has taken it since; else 0. The agent tells its
/// executors where it is now.
pub(super) fn port(last: Option<&NodeAddr>) -> u16 {
    let Some(last) = last else { return 0 };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, last.port())) {
        Ok(_) => last.port(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_work_directory_keeps_its_secret_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let made = secret(dir.path()).unwrap();
        assert_eq!(secret(dir.path()).unwrap(), made);
        let file = dir.path().join(SECRET);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&file, "rubbish").unwrap();
        let error = crate::output::chain(&secret(dir.path()).unwrap_err());
        assert!(
            error.contains("door.secret") && error.contains("64"),
            "{error}"
        );
    }

    #[test]
    fn a_port_that_was_taken_meanwhile_is_not_tried() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = NodeAddr::door(other.local_addr().unwrap().port());
        assert_eq!(port(Some(&taken)), 0);
        drop(other);
        assert_eq!(port(Some(&taken)), taken.port());
        assert_eq!(port(None), 0);
    }
}
