//! Archives: what they bring, and what they must not do.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::support::{Bench, Reply, Server};
use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::EntryType;
use tepui_fetch::FetchConfig;
use tepui_protocol::provision::CommandUri;

/// An entry of a tar archive, with the name as it is.
struct Entry<'a> {
    kind: EntryType,
    name: &'a str,
    link: &'a str,
    data: &'a [u8],
}

fn entry<'a>(kind: EntryType, name: &'a str, link: &'a str) -> Entry<'a> {
    Entry {
        kind,
        name,
        link,
        data: b"",
    }
}

fn file<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry {
        data,
        ..entry(EntryType::Regular, name, "")
    }
}

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for Entry {
        kind,
        name,
        link,
        data,
    } in entries
    {
        let mut header = tar::Header::new_gnu();
        // The library would not write names that lead elsewhere.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4750);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder
            .append(&header, *data)
            .expect("memory and a temporary directory");
    }
    builder
        .into_inner()
        .expect("memory and a temporary directory")
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(data)
        .expect("memory and a temporary directory");
    encoder.finish().expect("memory and a temporary directory")
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, data) in files {
        let file = archive.new_file(rawzip::path::EntryPath::verbatim(name.as_bytes()));
        let file = file.compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().expect("memory and a temporary directory");
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, Compression::fast());
        let mut writer = config.wrap(encoder);
        writer
            .write_all(data)
            .expect("memory and a temporary directory");
        let (encoder, descriptor) = writer.finish().expect("memory and a temporary directory");
        encoder.finish().expect("memory and a temporary directory");
        entry
            .finish(descriptor)
            .expect("memory and a temporary directory");
    }
    archive.finish().expect("memory and a temporary directory");
    bytes
}

fn extracted(path: &Path) -> CommandUri {
    CommandUri {
        extract: true,
        ..CommandUri::new(path.to_str().expect("memory and a temporary directory"))
    }
}

fn write(bench: &Bench, name: &str, bytes: &[u8]) -> PathBuf {
    let path = bench.dir.path().join(name);
    fs::write(&path, bytes).expect("memory and a temporary directory");
    path
}

#[test]
fn archives_of_every_kind_are_opened_into_the_sandbox() {
    let inner = tar(&[
        entry(EntryType::Directory, "d/", ""),
        file("d/tool", b"hello"),
        entry(EntryType::Symlink, "d/link", "tool"),
        entry(EntryType::Link, "d/hard", "d/tool"),
        entry(EntryType::Symlink, "up", "d/../d"),
    ]);
    // The last of them climbs after it has gone down.
    let inner_ok = tar(&[
        entry(EntryType::Directory, "d/", ""),
        file("d/tool", b"hello"),
        entry(EntryType::Symlink, "d/link", "tool"),
        entry(EntryType::Link, "d/hard", "d/tool"),
    ]);
    let two = [
        compress_to_vec(&inner_ok[..512], CompressionLevel::Fastest),
        compress_to_vec(&inner_ok[512..], CompressionLevel::Fastest),
    ];
    for (name, bytes) in [
        ("a.tar", inner_ok.clone()),
        ("a.tgz", gz(&inner_ok)),
        ("a.tar.zst", two.concat()),
        // The name does not matter.
        ("a.bin", gz(&inner_ok)),
    ] {
        let bench = Bench::new();
        bench
            .fetch(extracted(&write(&bench, name, &bytes)))
            .unwrap();
        for path in ["d/tool", "d/link", "d/hard"] {
            assert_eq!(bench.text(path), "hello", "{name}");
        }
        let about = fs::metadata(bench.place.sandbox.join("d/tool")).unwrap();
        assert_eq!(about.permissions().mode() & 0o7777, 0o750, "no set-user-id");
        let changed = about
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(changed.as_secs(), 1_000_000_000);
        assert_eq!(bench.names(), ["d"]);
    }
    let bench = Bench::new();
    assert!(
        bench
            .fetch(extracted(&write(&bench, "a.tar", &inner)))
            .is_err()
    );
    let bench = Bench::new();
    let bytes = zip(&[("z/", b""), ("z/tool", b"hello"), ("other", b"")]);
    bench
        .fetch(extracted(&write(&bench, "a.zip", &bytes)))
        .unwrap();
    assert_eq!(
        (bench.text("z/tool").as_str(), bench.names().len()),
        ("hello", 2)
    );
    // What is packed and no archive is the file itself.
    bench
        .fetch(extracted(&write(&bench, "words.gz", &gz(b"hello"))))
        .unwrap();
    assert_eq!(bench.text("words"), "hello");
    let refusal = bench.refusal(extracted(&write(&bench, "plain", b"hello")));
    assert!(refusal.contains("no tar"), "{refusal}");
}

#[test]
fn an_archive_writes_nothing_outside_of_the_sandbox() {
    let ways: Vec<(&str, Vec<u8>)> = vec![
        ("dots", tar(&[file("../outside", b"x")])),
        ("inner dots", tar(&[file("a/../../outside", b"x")])),
        ("absolute", tar(&[file("/tmp/outside-of-fetch", b"x")])),
        (
            "link",
            tar(&[
                entry(EntryType::Symlink, "l", ".."),
                file("l/outside", b"x"),
            ]),
        ),
        (
            "absolute link",
            tar(&[entry(EntryType::Symlink, "l", "/etc")]),
        ),
        (
            "link over a link",
            tar(&[
                entry(EntryType::Symlink, "d", "."),
                entry(EntryType::Symlink, "l", "d/../.."),
            ]),
        ),
        (
            "through a link",
            tar(&[entry(EntryType::Symlink, "l", "d"), file("l/x", b"x")]),
        ),
        (
            "hard link",
            tar(&[entry(EntryType::Link, "h", "../secret")]),
        ),
        (
            "hard link through a link",
            tar(&[entry(EntryType::Link, "h", "mine/secret")]),
        ),
        ("device", tar(&[entry(EntryType::Char, "null", "")])),
        ("pipe", tar(&[entry(EntryType::Fifo, "pipe", "")])),
        ("output", tar(&[entry(EntryType::Symlink, "stdout", "x")])),
        ("zip dots", zip(&[("../outside", b"x")])),
        ("zip absolute", zip(&[("/tmp/outside-of-fetch", b"x")])),
    ];
    for (way, bytes) in ways {
        let bench = Bench::new();
        write(&bench, "secret", b"secret");
        // As if an earlier file had brought it.
        symlink("..", bench.place.sandbox.join("mine")).unwrap();
        let refusal = bench.refusal(extracted(&write(&bench, "a", &bytes)));
        assert!(refusal.starts_with("cannot fetch "), "{way}: {refusal}");
        assert!(!bench.dir.path().join("outside").exists(), "{way}");
        assert!(!Path::new("/tmp/outside-of-fetch").exists(), "{way}");
        assert!(!bench.place.sandbox.join("h").exists(), "{way}");
    }
}

#[test]
fn an_archive_that_holds_too_much_is_refused() {
    let config = FetchConfig {
        extracted_mib_max: 1,
        extracted_files_max: 3,
        ..FetchConfig::default()
    };
    let large = vec![0; 2 << 20];
    let few = [
        file("a", b""),
        file("b", b""),
        file("c", b""),
        file("d", b""),
    ];
    for (told, bytes) in [
        ("1 MiB exceeded", gz(&tar(&[file("zeros", &large)]))),
        ("1 MiB exceeded", zip(&[("zeros", &large)])),
        ("1 MiB exceeded", gz(&large)),
        (
            "1 MiB exceeded",
            compress_to_vec(&large[..], CompressionLevel::Fastest),
        ),
        ("the limit for files in an archive of 3 exceeded", tar(&few)),
        // Also what is skipped: the head of a file, as long as can be.
        (
            "too long",
            gz(&tar(&[Entry {
                data: &large,
                ..entry(EntryType::GNULongName, "x", "")
            }])),
        ),
    ] {
        let bench = Bench::with(config.clone());
        let refusal = bench.refusal(extracted(&write(&bench, "a", &bytes)));
        assert!(
            refusal.ends_with(told) || refusal.contains(told),
            "{refusal}"
        );
    }
}

#[test]
fn a_broken_archive_is_told() {
    let bytes = gz(&tar(&[file("a", &[7; 100_000])]));
    let bench = Bench::new();
    for (name, bytes) in [
        ("cut.tgz", bytes[..bytes.len() / 2].to_vec()),
        ("cut.zip", zip(&[("a", b"hello")])[..40].to_vec()),
    ] {
        let refusal = bench.refusal(extracted(&write(&bench, name, &bytes)));
        assert!(refusal.contains("cannot extract it"), "{refusal}");
    }
}

#[test]
fn an_archive_of_a_server_is_kept_whole() {
    let bytes = gz(&tar(&[file("d/tool", b"hello")]));
    let server = Server::start(&[("/a.tgz", Reply::ok(bytes))]);
    let bench = Bench::new();
    let uri = CommandUri {
        extract: true,
        cache: true,
        ..CommandUri::new(server.url("/a.tgz"))
    };
    bench.fetch(uri.clone()).unwrap();
    fs::remove_dir_all(bench.place.sandbox.join("d")).unwrap();
    bench.fetch(uri.clone()).unwrap();
    assert_eq!((server.requests(), bench.names().len()), (1, 1));
    // Without the cache nothing is left behind.
    bench
        .fetch(CommandUri {
            cache: false,
            ..uri
        })
        .unwrap();
    assert_eq!(
        fs::read_dir(bench.dir.path().join("fetch/tmp"))
            .unwrap()
            .count(),
        0
    );
}
