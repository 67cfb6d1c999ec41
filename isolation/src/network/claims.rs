//! Who has which address, as files: one a container, named by the number of the address and the
//! container. They are renamed into their place, so that there is all of one or none.
//!
//! They are not synced: after a power failure no device and no rule is left that they could tell of.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tepui_protocol::PortMapping;

use crate::isolators::IsolatorError;

/// An address, and the container that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The number of the address in its subnet.
    pub(super) index: u16,
    /// The container.
    pub(super) name: String,
    /// What all containers of the same network have in common.
    pub(super) owner: String,
    /// The address.
    pub(super) address: Ipv4Addr,
    /// Ports of the machine that lead to the container.
    pub(super) ports: Vec<PortMapping>,
}

#[derive(Debug)]
pub(super) struct Claims {
    directory: PathBuf,
}

impl Claims {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Keeps all other processes of the agent out until it is dropped.
    pub(super) fn lock(&self) -> Result<File, IsolatorError> {
        let path = self.directory.join("lock");
        let locked = fs::create_dir_all(&self.directory).and_then(|()| {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        });
        locked.map_err(failed("lock", &path))
    }

    /// The containers that have one; read without a lock.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let names = self.files().unwrap_or_default().into_iter();
        names.map(|(_, name)| name).collect()
    }

    /// All claims, by number. For whoever has the lock.
    pub(super) fn all(&self) -> Result<Vec<Claim>, IsolatorError> {
        let read = |(index, name): (u16, String)| {
            let path = self.path(index, &name);
            let text = fs::read(&path).map_err(failed("read", &path))?;
            let claim = serde_json::from_slice(&text).map_err(io::Error::other);
            claim.map_err(failed("read", &path))
        };
        self.files()?.into_iter().map(read).collect()
    }

    pub(super) fn write(&self, claim: &Claim) -> Result<(), IsolatorError> {
        let new = self.directory.join("new");
        let path = self.path(claim.index, &claim.name);
        let text = serde_json::to_vec(claim).map_err(io::Error::other);
        let written = text.and_then(|text| fs::write(&new, text));
        let written = written.and_then(|()| fs::rename(&new, &path));
        written.map_err(failed("write", &path))
    }

    pub(super) fn remove(&self, claim: &Claim) -> Result<(), IsolatorError> {
        let path = self.path(claim.index, &claim.name);
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    fn path(&self, index: u16, name: &str) -> PathBuf {
        self.directory.join(format!("{index:04x}.{name}"))
    }

    fn files(&self) -> Result<BTreeSet<(u16, String)>, IsolatorError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(failed("read", &self.directory))?,
        };
        let names = entries.flatten().filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let (index, name) = file.split_once('.')?;
            Some((u16::from_str_radix(index, 16).ok()?, name.to_owned()))
        });
        Ok(names.collect())
    }
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> IsolatorError + 'a {
    move |source| IsolatorError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_found_again_until_they_are_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::new(dir.path().join("network"));
        assert_eq!(claims.names(), BTreeSet::new());
        let claim = |index, name: &str| Claim {
            index,
            name: name.to_owned(),
            owner: "run".to_owned(),
            address: Ipv4Addr::new(10, 0, 0, 2),
            ports: vec![PortMapping::parse("1:2").unwrap()],
        };
        let _locked = claims.lock().unwrap();
        let (one, other) = (claim(0x1f, "run.0"), claim(2, "run.1"));
        claims.write(&one).unwrap();
        claims.write(&other).unwrap();
        assert_eq!(claims.all().unwrap(), [other.clone(), one.clone()]);
        claims.remove(&one).unwrap();
        assert_eq!(claims.names(), ["run.1".to_owned()].into());
        claims.remove(&other).unwrap();
        assert_eq!(claims.all().unwrap(), []);
    }
}
