//! Files from servers: what comes, what does not, and what is kept. The servers are real ones, on loopback.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
};

use crate::support::{Bench, Reply, Server, cached};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tepui_certs::{Authority, Validity};
use tepui_fetch::{FetchConfig, Fetcher, Work};
use tepui_protocol::provision::CommandUri;

const SHA_OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn impatient() -> FetchConfig {
    FetchConfig {
        stall_timeout: 0.2,
        ..FetchConfig::default()
    }
}

#[test]
fn a_file_comes_into_the_sandbox_as_it_is() {
    let server = Server::start(&[("/dir/tool.sh?v=1", Reply::ok("hello"))]);
    let bench = Bench::new();
    let uri = CommandUri {
        executable: true,
        sha256: Some(SHA_OF_HELLO.to_owned()),
        ..CommandUri::new(server.url("/dir/tool.sh?v=1"))
    };
    bench.fetch(uri.clone()).unwrap();
    assert_eq!(bench.text("tool.sh"), "hello");
    let mode = fs::metadata(bench.place.sandbox.join("tool.sh"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    let named = CommandUri {
        output_file: Some("bin/run".to_owned()),
        ..uri
    };
    bench.fetch(named).unwrap();
    assert_eq!(bench.text("bin/run"), "hello");
    for name in ["../x", "/x", "stdout", ".tmp/x"] {
        let refused = CommandUri {
            output_file: Some(name.to_owned()),
            ..CommandUri::new(server.url("/dir/tool.sh?v=1"))
        };
        assert!(bench.fetch(refused).is_err(), "{name}");
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn what_a_server_does_wrong_is_told_with_the_uri() {
    let server = Server::start(&[
        (
            "/short",
            Reply::with("200 OK\r\nContent-Length: 10", "12345"),
        ),
        (
            "/chunked",
            Reply::with("200 OK\r\nTransfer-Encoding: chunked", "5\r\n12345\r\n"),
        ),
        ("/noise", Reply::with("what?", "")),
        ("/round", Reply::with("302 Found\r\nLocation: /round", "")),
        ("/hello", Reply::ok("hello")),
    ]);
    let bench = Bench::new();
    for (path, told) in [
        ("/short", "broke off"),
        ("/chunked", "broke off"),
        ("/noise", "127.0.0.1:"),
        ("/round", "leads on"),
        ("/missing", "answers 404 Not Found"),
    ] {
        for uri in [CommandUri::new(server.url(path)), cached(&server.url(path))] {
            let refusal = bench.refusal(uri);
            let begins = format!("cannot fetch {}: ", server.url(path));
            assert!(
                refusal.starts_with(&begins) && refusal.contains(told),
                "{refusal}"
            );
        }
    }
    let wrong = CommandUri {
        sha256: Some("0".repeat(64)),
        ..cached(&server.url("/hello"))
    };
    let refusal = bench.refusal(wrong.clone());
    assert!(refusal.ends_with(&format!(
        "its sha256 is {SHA_OF_HELLO}, not {}",
        "0".repeat(64)
    )));
    // What was wrong is not kept.
    let before = server.requests();
    assert!(bench.fetch(wrong).is_err());
    assert_eq!(server.requests(), before + 1);
    let nobody = CommandUri::new("http://127.0.0.1:1/x");
    assert!(bench.refusal(nobody).contains("cannot connect"));
}

#[test]
fn a_redirect_is_followed() {
    let other = Server::start(&[("/there", Reply::ok("hello"))]);
    let head = format!(
        "307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: {}",
        other.url("/there")
    );
    let server = Server::start(&[("/here", Reply::with(&head, ""))]);
    let bench = Bench::new();
    bench.fetch(CommandUri::new(server.url("/here"))).unwrap();
    assert_eq!(bench.text("here"), "hello");
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let server = Server::start(&[
        (
            "/half",
            Reply::with("200 OK\r\nContent-Length: 10", "12345").stalling(),
        ),
        (
            "/open",
            Reply::with("200 OK\r\nConnection: close", "12345").stalling(),
        ),
    ]);
    let bench = Bench::with(impatient());
    for path in ["/half", "/open"] {
        let refusal = bench.refusal(CommandUri::new(server.url(path)));
        assert!(refusal.ends_with(" sent nothing for 0.2 s"), "{refusal}");
    }
    // One that accepts and says nothing at all.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", silent.local_addr().unwrap());
    let refusal = bench.refusal(CommandUri::new(url));
    assert!(refusal.ends_with(" sent nothing for 0.2 s"), "{refusal}");
}

#[test]
fn a_job_is_given_up_in_the_middle_and_tells_how_far_it_is() {
    let reply = Reply::with("200 OK\r\nContent-Length: 10", "12345").stalling();
    let server = Server::start(&[("/x", reply)]);
    let bench = Bench::new();
    let url = server.url("/x");
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| bench.refusal(CommandUri::new(&url)));
        server.await_reply();
        let expected = format!("fetching {url}: 5 B of 10 B");
        while bench.work.progress().as_ref() != Some(&expected) {
            std::thread::yield_now();
        }
        bench.work.cancel();
        let refusal = fetching.join().unwrap();
        assert!(refusal.contains("given up"), "{refusal}");
    });
}

#[test]
fn no_file_is_larger_than_it_may_be() {
    let large = vec![0; (1 << 20) + 1];
    let endless = Reply {
        head: "200 OK\r\nConnection: close".to_owned(),
        ..Reply::ok(large.clone())
    };
    let server = Server::start(&[("/told", Reply::ok(large)), ("/untold", endless)]);
    let config = FetchConfig {
        file_mib_max: 1,
        ..FetchConfig::default()
    };
    let mut bench = Bench::with(config);
    for path in ["/told", "/untold"] {
        let refusal = bench.refusal(CommandUri::new(server.url(path)));
        assert!(
            refusal.ends_with("the limit for a file of 1 MiB exceeded"),
            "{refusal}"
        );
    }
    // Nor than the task may have.
    bench.place.bytes_max = Some(100);
    let refusal = bench.refusal(CommandUri::new(server.url("/told")));
    assert!(refusal.ends_with("of 100 B exceeded"), "{refusal}");
}

#[test]
fn a_cached_file_is_asked_for_once_also_over_a_restart() {
    let server = Server::start(&[("/x", Reply::ok("hello")), ("/y", Reply::ok("other"))]);
    let mut bench = Bench::new();
    let uri = cached(&server.url("/x"));
    bench.fetch(uri.clone()).unwrap();
    bench.fetch(uri.clone()).unwrap();
    bench.fetcher = Fetcher::open(bench.dir.path(), FetchConfig::default()).unwrap();
    bench.fetch(uri.clone()).unwrap();
    assert_eq!((server.requests(), bench.text("x").as_str()), (1, "hello"));
    // Another user's is another one's.
    bench.place.user = "alice".to_owned();
    bench.fetch(uri.clone()).unwrap();
    assert_eq!(server.requests(), 2);
    // One that is not what it should be is fetched anew.
    let wanted = CommandUri {
        sha256: Some("1".repeat(64)),
        ..uri
    };
    assert!(bench.fetch(wanted).is_err());
    assert_eq!(server.requests(), 3);
}

#[test]
fn two_that_want_the_same_get_it_by_one_request() {
    let server = Server::start(&[("/x", Reply::ok(vec![7; 1 << 20]))]);
    let bench = Bench::new();
    let url = server.url("/x");
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let uri = CommandUri {
                output_file: Some(name.to_owned()),
                ..cached(&url)
            };
            let (fetcher, place) = (&bench.fetcher, &bench.place);
            scope.spawn(move || fetcher.fetch(&[uri], place, &Work::default()).unwrap());
        }
    });
    assert_eq!((server.requests(), bench.names().len()), (1, 4));
}

#[test]
fn the_cache_is_bounded() {
    let body = vec![1; 700 << 10];
    let server = Server::start(&[
        ("/a", Reply::ok(body.clone())),
        ("/b", Reply::ok(body)),
        ("/large", Reply::ok(vec![1; 2 << 20])),
    ]);
    let config = FetchConfig {
        cache_mib: 1,
        ..FetchConfig::default()
    };
    let bench = Bench::with(config);
    let fetch = |path: &str| {
        let before = server.requests();
        bench.fetch(cached(&server.url(path))).unwrap();
        server.requests() - before
    };
    assert_eq!([fetch("/a"), fetch("/a")], [1, 0]);
    assert_eq!([fetch("/b"), fetch("/b")], [1, 0]);
    // It had to go for the other one.
    assert_eq!(fetch("/a"), 1);
    // What does not fit at all takes nothing away.
    assert_eq!([fetch("/large"), fetch("/large"), fetch("/a")], [1, 1, 0]);
    let files = fs::read_dir(bench.dir.path().join("fetch/files"))
        .unwrap()
        .count();
    assert_eq!(files, 1);
}

#[test]
fn https_servers_are_believed_by_their_authority() {
    let dir = tempfile::tempdir().unwrap();
    let validity = Validity {
        not_before: 0,
        not_after: 4_000_000_000,
    };
    let (authority, own) = Authority::create(validity).unwrap();
    let host = "localhost".parse().unwrap();
    let certified = authority.issue(&[host], validity).unwrap();
    let cert = CertificateDer::from_pem_slice(certified.cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let config = Arc::new(config);
    let server = Server::wrapped(&[("/x", Reply::ok("hello"))], move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        Box::new(StreamOwned::new(connection, stream))
    });
    let ca = dir.path().join("ca.pem");
    File::create(&ca)
        .unwrap()
        .write_all(own.cert.as_bytes())
        .unwrap();
    let uri = CommandUri::new(format!("https://localhost:{}/x", server.port));
    let trusting = Bench::with(FetchConfig {
        ca_file: Some(ca),
        ..FetchConfig::default()
    });
    trusting.fetch(uri.clone()).unwrap();
    assert_eq!(trusting.text("x"), "hello");
    // Another authority's word counts for nothing.
    let other = dir.path().join("other.pem");
    let (_, stranger) = Authority::create(validity).unwrap();
    fs::write(&other, stranger.cert).unwrap();
    let strict = Bench::with(FetchConfig {
        ca_file: Some(other),
        ..FetchConfig::default()
    });
    assert!(strict.refusal(uri).contains("TLS: "));
}
