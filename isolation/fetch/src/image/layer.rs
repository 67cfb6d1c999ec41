//! A layer of an image: its archive, checked and opened into a directory that the kernel can lay over
//! others.

use std::{
    fs::File,
    io::{BufReader, Read, Seek as _, SeekFrom},
    path::Path,
};

use super::manifest::hex;
use crate::{
    archive::{self, Limits, Meter, tape, tree::Tree},
    digest::{self, Hashing},
    error::Problem,
    work::Work,
};

/// Checks that the file has the digest of the blob, and opens it into `directory`, which is empty; then
/// checks that what came out has the digest of the layer.
pub(super) fn open(
    mut file: File,
    (blob, layer): (&str, &str),
    directory: &Path,
    limits: Limits,
    work: &Work,
) -> Result<(), Problem> {
    let failed = || Problem::file("read", "a layer");
    let packed = file.metadata().map_err(failed())?.len();
    let mut hashing = Hashing::new(&mut file);
    let mut buffer = vec![0; 64 << 10];
    while hashing.read(&mut buffer).map_err(failed())? > 0 {
        work.check()?;
    }
    digest::check(&hashing.sha.text(), hex(blob)?)?;
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    let mut first = Vec::new();
    (&file)
        .take(512)
        .read_to_end(&mut first)
        .map_err(failed())?;
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    let from = BufReader::with_capacity(64 << 10, file);
    let Some(plain) = archive::plain(from, &first) else {
        return Err(Problem::Archive(
            "a layer is no tar, tar.gz or tar.zst".to_owned(),
        ));
    };
    let mut hashing = Hashing::new(plain);
    let tree = Tree::of_layer(directory)?;
    let mut meter = Meter::new(limits, packed, work);
    tape::extract(&mut hashing, &tree, &mut meter)?;
    // What follows the end of the archive belongs to the digest.
    meter.copy(&mut hashing, &mut std::io::sink(), Path::new("a layer"))?;
    digest::check(&hashing.sha.text(), hex(layer)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _};

    use tar::EntryType;

    use super::*;

    /// Opens a layer of these entries (kind, name, target) beside a directory that it must not reach.
    fn opened(entries: &[(EntryType, &str, &str)]) -> (tempfile::TempDir, Result<(), Problem>) {
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, name, link) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_uid(1000);
            header.set_gid(1001);
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, &b""[..]).unwrap();
        }
        let bytes = builder.into_inner().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join("layer");
        fs::create_dir(&layer).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let digest = format!("sha256:{}", digest::of(&bytes));
        let limits = Limits {
            bytes: 1 << 20,
            files: 100,
        };
        let work = Work::default();
        file.seek(SeekFrom::Start(0)).unwrap();
        let opened = open(file, (&digest, &digest), &layer, limits, &work);
        (dir, opened)
    }

    #[test]
    fn a_layer_keeps_owners_and_stays_in_its_directory() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let (dir, done) = opened(&[
            (EntryType::Regular, "/bin/su", ""),
            (EntryType::Symlink, "etc", "/real"),
            (EntryType::Directory, "real", ""),
            // As a container would see it, this is in `real`.
            (EntryType::Regular, "etc/file", ""),
            (EntryType::Symlink, "up", "../../.."),
            (EntryType::Regular, "up/top", ""),
            (EntryType::Link, "hard", "/bin/su"),
            (EntryType::Char, "dev/null", ""),
            (EntryType::Regular, "gone/.wh.x", ""),
            (EntryType::Regular, "new/.wh..wh..opq", ""),
        ]);
        done.unwrap();
        let layer = dir.path().join("layer");
        let about = |name: &str| fs::symlink_metadata(layer.join(name)).unwrap();
        let su = about("bin/su");
        assert_eq!(
            (su.uid(), su.gid(), su.mode() & 0o7777),
            (1000, 1001, 0o4755)
        );
        assert_eq!(about("hard").ino(), su.ino());
        assert!(about("real/file").is_file() && about("top").is_file());
        assert!(!layer.join("dev/null").exists());
        assert_eq!(
            (about("gone/x").mode() & 0o170_000, about("gone/x").rdev()),
            (0o020_000, 0)
        );
        assert!(about("new").is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        for way in ["../x", "a/../../x"] {
            assert!(opened(&[(EntryType::Regular, way, "")]).1.is_err(), "{way}");
        }
        assert!(
            opened(&[(EntryType::Link, "h", "../../etc/passwd")])
                .1
                .is_err()
        );
    }
}
