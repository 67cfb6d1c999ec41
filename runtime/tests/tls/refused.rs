//! Whoever is not let in: both sides are told why, and nobody else notices.

use tepui_certs::{Authority, Validity};
use tepui_runtime::{
    prelude::*,
    transport::{Tcp, Tls, TlsError, TlsFiles},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    log::warning,
    support::{
        Liar, assert_answers, authority, expired, identity, loopback, not_yet, of, problem, start,
        valid,
    },
};

/// A node of the cluster, and another one that gets on with it.
struct Cluster {
    ca: Authority,
    good: Node,
    friend: Node,
}

impl Cluster {
    async fn start() -> Self {
        let ca = authority();
        let good = start(loopback(1), of(&ca, &["good", "127.0.0.1"]))
            .await
            .unwrap();
        let friend = start(loopback(4), of(&ca, &["127.0.0.4"])).await.unwrap();
        Self { ca, good, friend }
    }

    /// The cluster goes on as if nothing had happened.
    async fn is_well(&self) {
        assert_answers(&self.friend, self.good.addr()).await;
        assert_answers(&self.good, self.friend.addr()).await;
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority() {
    // It does not trust ours, either.
    let other = authority();
    let trust = "another authority than this node trusts";
    let cluster = Cluster::start().await;
    let bad = start(loopback(11), of(&other, &["127.0.0.11"]))
        .await
        .unwrap();
    let told = problem(&cluster.good, bad.addr()).await;
    assert!(
        told.contains(trust) && told.contains(&bad.addr().to_string()),
        "{told}"
    );
    warning(&[
        "peer 127.0.0.1 ",
        "does not trust the authority of this node",
    ])
    .await;
    let told = problem(&bad, cluster.good.addr()).await;
    assert!(told.contains(trust), "{told}");
    cluster.is_well().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_from_one_that_trusts_ours() {
    let (ca, other) = (authority(), authority());
    let good = start(loopback(1), of(&ca, &["127.0.0.1"])).await.unwrap();
    let bad = identity(&ca, &other, &["127.0.0.12"], valid());
    let bad = start(loopback(12), bad).await.unwrap();
    let told = problem(&bad, good.addr()).await;
    assert!(
        told.contains("does not trust the authority of this node's certificate"),
        "{told}"
    );
    warning(&["peer 127.0.0.1 ", "another authority", "--tls-ca"]).await;
    let told = problem(&good, bad.addr()).await;
    assert!(told.contains("another authority"), "{told}");
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let ca = Authority::create(Validity::days_from(0, 60_000)).unwrap().0;
    let (good, friend) = (of(&ca, &["127.0.0.1"]), of(&ca, &["127.0.0.4"]));
    let good = start(loopback(1), good).await.unwrap();
    let friend = start(loopback(4), friend).await.unwrap();
    let bad = identity(&ca, &ca, &["127.0.0.13"], expired());
    let bad = start(loopback(13), bad).await.unwrap();
    let told = problem(&good, bad.addr()).await;
    for part in ["that expired ", " days ago", "tepui certs issue --replace"] {
        assert!(told.contains(part), "{told}");
    }
    let told = problem(&bad, good.addr()).await;
    assert!(
        told.contains("this node's certificate does not hold now"),
        "{told}"
    );
    warning(&["peer 127.0.0.1 ", "that expired"]).await;
    assert_answers(&friend, good.addr()).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet() {
    let ca = authority();
    let good = start(loopback(1), of(&ca, &["127.0.0.1"])).await.unwrap();
    let bad = identity(&ca, &ca, &["127.0.0.14"], not_yet());
    let bad = start(loopback(14), bad).await.unwrap();
    let told = problem(&good, bad.addr()).await;
    assert!(
        told.contains("is not valid for another") && told.contains("clocks"),
        "{told}"
    );
    let told = problem(&bad, good.addr()).await;
    assert!(
        told.contains("this node's certificate does not hold now"),
        "{told}"
    );
    warning(&["peer 127.0.0.1 ", "is not valid for another"]).await;
}

#[tokio::test]
async fn a_node_at_an_address_that_its_certificate_is_not_for() {
    let cluster = Cluster::start().await;
    let liar = Liar(of(&cluster.ca, &["other", "127.0.0.99"]));
    let bad = start(loopback(15), liar).await.unwrap();
    let told = problem(&cluster.good, bad.addr()).await;
    for part in [
        "is for other, 127.0.0.99, not for 127.0.0.15",
        "--host 127.0.0.15",
    ] {
        assert!(told.contains(part), "{told}");
    }
    warning(&["peer 127.0.0.1 ", "does not take this node's certificate"]).await;
    // And when it dials: its certificate is good, but not for what it calls itself.
    let told = problem(&bad, cluster.good.addr()).await;
    assert!(told.contains("you call yourself 127.0.0.15:"), "{told}");
    warning(&["calls itself 127.0.0.15:", "not for 127.0.0.15"]).await;
    cluster.is_well().await;
}

/// The attack: a node of the cluster says that it is another one.
#[tokio::test]
async fn a_node_cannot_pass_for_another_one() {
    let cluster = Cluster::start().await;
    let victim = cluster.friend.addr().clone();
    let liar = Liar(of(&cluster.ca, &["127.0.0.16"]));
    let builder = Node::builder(loopback(16))
        .advertise(victim.clone())
        .workers(1);
    let bad = builder
        .transport(std::sync::Arc::new(liar))
        .start()
        .await
        .unwrap();
    bad.spawn("doubler", super::support::Doubler).unwrap();
    assert_eq!(*bad.addr(), victim);
    // It dials.
    let told = problem(&bad, cluster.good.addr()).await;
    assert!(
        told.contains(&format!("you call yourself {victim}")),
        "{told}"
    );
    warning(&[
        "peer 127.0.0.",
        &format!("calls itself {victim}"),
        "is for 127.0.0.16",
    ])
    .await;
    // Whoever is dialled as the victim is the victim.
    cluster.is_well().await;
}

#[tokio::test]
async fn a_node_without_tls_and_one_with_it() {
    let cluster = Cluster::start().await;
    let plain = start(loopback(17), Tcp).await.unwrap();
    let told = problem(&plain, cluster.good.addr()).await;
    let speaks = "speaks TLS, and this node does not; start this node with --tls-ca";
    assert!(told.contains(speaks), "{told}");
    warning(&["peer 127.0.0.1 ", "does not speak TLS, as this node does"]).await;
    let told = problem(&cluster.good, plain.addr()).await;
    assert!(
        told.contains("does not speak TLS") && told.contains("--tls-cert"),
        "{told}"
    );
    warning(&["peer 127.0.0.1 ", speaks]).await;
    cluster.is_well().await;
}

#[tokio::test]
async fn whoever_shows_no_certificate() {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let cluster = Cluster::start().await;
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(cluster.ca.cert().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(cluster.good.addr().to_string())
        .await
        .unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let error = stream.read_u8().await.unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    warning(&["shows no certificate; start it with --tls-ca"]).await;
    cluster.is_well().await;
}

/// Bytes that are no TLS, halves of a handshake, connections that say nothing.
#[tokio::test]
async fn noise_does_not_disturb_others() {
    let cluster = Cluster::start().await;
    let addr = cluster.good.addr().to_string();
    let mut silent = Vec::new();
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0; 4096],
        b"",
    ] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(&addr).await.unwrap();
            stream.write_all(noise).await.unwrap();
            silent.push(stream);
        }
        cluster.is_well().await;
    }
}

#[test]
fn files_that_make_no_identity_are_named() {
    let ca = authority();
    let one = ca.issue(&["a".parse().unwrap()], valid()).unwrap();
    let two = ca.issue(&["a".parse().unwrap()], valid()).unwrap();
    let tls = |ca: &str, cert: &str, key: &str| {
        Tls::new(ca.as_bytes(), cert.as_bytes(), key.as_bytes()).unwrap_err()
    };
    assert!(matches!(
        tls(ca.cert(), &one.cert, &two.key),
        TlsError::Mismatch
    ));
    assert!(matches!(
        tls("", &one.cert, &one.key),
        TlsError::NoCertificate
    ));
    assert!(matches!(
        tls(ca.cert(), &one.key, &one.key),
        TlsError::NoCertificate
    ));
    assert!(matches!(
        tls(ca.cert(), &one.cert, &one.cert),
        TlsError::NoKey
    ));
    let files = TlsFiles {
        ca: "/not/there/ca.pem".into(),
        cert: "a.pem".into(),
        key: "a.key".into(),
    };
    let error = Tls::from_files(&files).unwrap_err().to_string();
    assert_eq!(error, "/not/there/ca.pem cannot be read");
}
