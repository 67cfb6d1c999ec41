//! Nodes of one authority: they talk, each as what its certificate is for.

use std::sync::Arc;

use tepui_runtime::{
    StartError,
    node::BindError,
    prelude::*,
    transport::{Tcp, Transport as _},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{assert_answers, authority, loopback, of, start};

#[tokio::test]
async fn nodes_of_one_authority_talk_in_both_directions() {
    let ca = authority();
    let a = start(loopback(1), of(&ca, &["a", "127.0.0.1"]))
        .await
        .unwrap();
    let b = start(loopback(2), of(&ca, &["b", "127.0.0.2"]))
        .await
        .unwrap();
    assert_answers(&a, b.addr()).await;
    assert_answers(&b, a.addr()).await;
    b.shutdown().await;
    a.shutdown().await;
}

#[tokio::test]
async fn a_node_is_dialled_by_any_host_of_its_certificate() {
    let ca = authority();
    let hosts = ["127.0.0.1", "localhost"];
    let a = start(loopback(1), of(&ca, &hosts)).await.unwrap();
    let b = start(loopback(2), of(&ca, &["127.0.0.2"])).await.unwrap();
    let alias = NodeAddr::new("localhost", a.addr().port());
    assert_answers(&b, &alias).await;
    assert_answers(&b, a.addr()).await;
}

/// A laptop: nobody dials it, so its certificate has a name and no address.
#[tokio::test]
async fn a_node_whose_certificate_has_no_address_is_known_by_its_name() {
    let ca = authority();
    let a = start(loopback(1), of(&ca, &["127.0.0.1"])).await.unwrap();
    let tls = of(&ca, &["alice"]);
    let known_as = tls.known_as(&loopback(3));
    assert_eq!(known_as, NodeAddr::new("alice", 0));
    let builder = Node::builder(loopback(3)).advertise(known_as).workers(1);
    let b = builder.transport(Arc::new(tls)).start().await.unwrap();
    assert_eq!(b.addr().host(), "alice");
    assert_answers(&b, a.addr()).await;
    let tls = of(&ca, &["alice", "127.0.0.3"]);
    assert_eq!(tls.known_as(&loopback(3)), loopback(3));
}

#[tokio::test]
async fn a_node_does_not_start_as_what_its_certificate_is_not_for() {
    let ca = authority();
    let error = start(loopback(1), of(&ca, &["a", "10.0.0.7"]))
        .await
        .unwrap_err();
    let told = error.to_string();
    for part in [
        "cannot be 127.0.0.1:0",
        "is for a, 10.0.0.7, not for 127.0.0.1",
        "tepui certs issue NAME --host 127.0.0.1",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn without_certificates_a_node_listens_on_loopback_only() {
    for host in ["0.0.0.0", "[::]", "10.1.2.3", "node-1.example"] {
        let builder = || Node::builder(NodeAddr::new(host, 0)).advertise(loopback(1));
        let Err(StartError::Bind(error @ BindError::Open { .. })) = builder().start().await else {
            panic!("{host}: it started");
        };
        let told = error.to_string();
        for part in [
            host,
            "without TLS",
            "tepui certs init",
            "--tls-ca",
            "--insecure",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
    let everywhere = Node::builder(NodeAddr::new("0.0.0.0", 0)).advertise(loopback(1));
    let a = everywhere.insecure().start().await.unwrap();
    a.spawn("doubler", super::support::Doubler).unwrap();
    let b = start(loopback(1), Tcp).await.unwrap();
    assert_answers(&b, a.addr()).await;
}

/// What a node answers to a client that speaks HTTP within TLS.
#[tokio::test]
async fn http_is_served_within_tls() {
    let ca = authority();
    let a = start(loopback(1), of(&ca, &["127.0.0.1"])).await.unwrap();
    let stream = of(&ca, &["curl"]).connect(a.addr()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        a.addr()
    );
    write.write_all(request.as_bytes()).await.unwrap();
    write.flush().await.unwrap();
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
