//! Where files come from: a server, or this machine.
//!
//! A file of this machine is opened as the task's user would open it: a task must not get by a URI
//! what it could not read itself.

use std::{
    fs::{self, File},
    io::Write as _,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    unistd::{Gid, Uid, setfsgid, setfsuid},
};
use tepui_isolation::launch::User;

use crate::{
    digest::Sha256,
    error::{Problem, size},
    http::Client,
    work::Work,
};

/// Where a URI leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Http(String),
    File(PathBuf),
}

impl Source {
    pub(crate) fn of(uri: &str) -> Result<Self, Problem> {
        match uri.split_once("://") {
            Some(("http" | "https", _)) => Ok(Self::Http(uri.to_owned())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            None if uri.starts_with('/') => Ok(Self::File(uri.into())),
            _ => Err(Problem::Refused(
                "it must begin with http://, https://, file:/// or /".to_owned(),
            )),
        }
    }

    /// The last part of its path: how a file of it is named where nothing else is said.
    pub(crate) fn name(&self) -> Result<String, Problem> {
        let path = match self {
            Self::Http(url) => {
                let end = url.find(['?', '#']).unwrap_or(url.len());
                let rest = url[..end].split_once("://").map_or("", |(_, rest)| rest);
                rest.split_once('/').map_or("", |(_, path)| path).to_owned()
            }
            Self::File(path) => path.display().to_string(),
        };
        match path.rsplit('/').next() {
            Some(name) if !["", ".", ".."].contains(&name) => Ok(name.to_owned()),
            _ => Err(Problem::Refused(
                "it names no file; say how to name it with output".to_owned(),
            )),
        }
    }
}

/// Writes what `url` has into `into`; at most `limit` bytes. Returns how much it is, and its sha256.
pub(crate) async fn download(
    client: &Client,
    url: &str,
    into: &mut File,
    limit: u64,
    work: &Work,
) -> Result<(u64, String), Problem> {
    let mut answer = client.get(url, &Vec::new(), &Vec::new()).await?.ok()?;
    receive(&mut answer, into, limit, work).await
}

/// Writes the body of an answer into `into`; at most `limit` bytes.
pub(crate) async fn receive(
    answer: &mut crate::http::Answer,
    into: &mut File,
    limit: u64,
    work: &Work,
) -> Result<(u64, String), Problem> {
    let too_much = || Problem::TooMuch {
        what: "the limit for a file",
        limit: size(limit),
    };
    let expected = answer.length();
    if expected.is_some_and(|length| length > limit) {
        return Err(too_much());
    }
    work.expect(expected.unwrap_or(0));
    let (mut bytes, mut sha) = (0, Sha256::new());
    while let Some(piece) = answer.piece().await? {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(too_much());
        }
        sha.update(&piece);
        into.write_all(&piece)
            .map_err(Problem::file("write", "the file that is fetched"))?;
        work.add(piece.len() as u64);
    }
    Ok((bytes, sha.text()))
}

/// Opens a file of this machine as `owner` would; as this process where absent.
pub(crate) fn open(path: &Path, owner: Option<&User>) -> Result<File, Problem> {
    let opened = {
        let _as_owner = owner.map(AsUser::become_user);
        // Never waits for a pipe.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
    };
    let file = opened.map_err(Problem::file("read", path))?;
    let about = file.metadata().map_err(Problem::file("read", path))?;
    if !about.is_file() {
        return Err(Problem::Refused(format!("{} is no file", path.display())));
    }
    if let Some(owner) = owner.filter(|owner| !may_read(owner, &file, &about)) {
        return Err(Problem::Refused(format!(
            "user {} may not read {}",
            owner.uid,
            path.display()
        )));
    }
    Ok(file)
}

/// The kernel still counts this process's further groups, so that rights of a group are looked at here.
fn may_read(owner: &User, file: &File, about: &fs::Metadata) -> bool {
    let allows = |about: &fs::Metadata, bit: u32| {
        let shift = match (about.uid(), about.gid()) {
            (uid, _) if uid == owner.uid => 6,
            (_, gid) if gid == owner.gid || owner.groups.contains(&gid) => 3,
            _ => 0,
        };
        owner.uid == 0 || about.mode() >> shift & bit != 0
    };
    // Where it really lies, whatever links led there.
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(path) = fs::read_link(link) else {
        return false;
    };
    let mut above = path.ancestors().skip(1);
    allows(about, 4)
        && above.all(|directory| fs::metadata(directory).is_ok_and(|about| allows(&about, 1)))
}

/// While it lives, this thread opens files as another user.
struct AsUser {
    uid: Uid,
    gid: Gid,
}

impl AsUser {
    fn become_user(owner: &User) -> Self {
        let gid = setfsgid(Gid::from_raw(owner.gid));
        let uid = setfsuid(Uid::from_raw(owner.uid));
        Self { uid, gid }
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn a_uri_is_a_server_or_a_path() {
        let name = |uri: &str| Source::of(uri).and_then(|source| source.name());
        assert_eq!(name("http://h/a/b.tar.gz?x=/c").unwrap(), "b.tar.gz");
        assert_eq!(name("file:///etc/hosts").unwrap(), "hosts");
        assert_eq!(name("/etc/hosts").unwrap(), "hosts");
        for uri in ["http://host", "http://host/", "file:///", "/a/.."] {
            assert!(
                name(uri).unwrap_err().to_string().contains("output"),
                "{uri}"
            );
        }
        for uri in ["", "etc/hosts", "ftp://h/x", "file://host/x"] {
            assert!(
                name(uri).unwrap_err().to_string().contains("must begin"),
                "{uri}"
            );
        }
    }

    #[test]
    fn files_are_opened_as_the_user_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "x").unwrap();
        assert!(open(&path, None).is_ok());
        assert!(
            open(dir.path(), None)
                .unwrap_err()
                .to_string()
                .contains("is no file")
        );
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let somebody = User {
            uid: 65_534,
            gid: 65_534,
            groups: vec![],
        };
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        // Readable, in a directory that nobody else may enter.
        mode(dir.path(), 0o700);
        mode(&path, 0o644);
        assert!(open(&path, Some(&somebody)).is_err());
        mode(dir.path(), 0o755);
        assert!(open(&path, Some(&somebody)).is_ok());
        // By the group of this process, and by a group of the user.
        mode(&path, 0o640);
        assert!(open(&path, Some(&somebody)).is_err());
        chown(&path, Some(0), Some(65_534)).unwrap();
        assert!(open(&path, Some(&somebody)).is_ok());
        assert_eq!(setfsuid(Uid::from_raw(0)), Uid::from_raw(0));
    }
}
