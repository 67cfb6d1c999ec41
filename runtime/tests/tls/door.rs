//! Nodes behind a door: on loopback, without TLS, by a secret that they share with its owner.

use std::sync::Arc;

use tepui_certs::Authority;
use tepui_runtime::{
    Secret, StartError,
    prelude::*,
    transport::{Tcp, Tls},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    log::warning,
    support::{Doubler, Liar, assert_answers, authority, loopback, of, problem, start},
};

fn secret() -> Secret {
    Secret::generate().unwrap()
}

/// A node with a certificate for `127.0.0.n` and a door.
async fn owner(ca: &Authority, n: u8, port: u16, secret: &Secret) -> Node {
    let tls = of(ca, &[&format!("127.0.0.{n}")]);
    let builder = Node::builder(loopback(n))
        .transport(Arc::new(tls))
        .workers(1);
    let node = builder.door(port, secret.clone()).start().await.unwrap();
    node.spawn("doubler", Doubler).unwrap();
    node
}

/// A node behind a door, if `secret` is the right one.
async fn behind(port: u16, secret: &Secret) -> Result<Node, StartError> {
    super::log::keep();
    let builder = Node::builder(NodeAddr::door(port)).workers(1);
    let node = builder.secret(secret.clone()).start().await?;
    node.spawn("doubler", Doubler).unwrap();
    Ok(node)
}

#[tokio::test]
async fn those_who_know_the_secret_come_through_the_door() {
    let (ca, secret) = (authority(), secret());
    let owner = owner(&ca, 21, 0, &secret).await;
    let inner = behind(0, &secret).await.unwrap();
    let door = owner.door().unwrap();
    assert!(door.is_door() && door.port() != 0);
    assert_answers(&inner, door).await;
    assert_answers(&owner, inner.addr()).await;
    // The others of the cluster come by the main listener, as ever.
    let other = start(loopback(22), of(&ca, &["127.0.0.22"])).await.unwrap();
    assert_answers(&other, owner.addr()).await;
}

/// An agent that was restarted looks for its executors before they look for it.
#[tokio::test]
async fn the_owner_may_dial_first() {
    let (ca, secret) = (authority(), secret());
    let inner = behind(0, &secret).await.unwrap();
    for _ in 0..2 {
        let owner = owner(&ca, 23, 0, &secret).await;
        assert_answers(&owner, inner.addr()).await;
        owner.shutdown().await;
    }
}

#[tokio::test]
async fn whoever_does_not_know_the_secret_stays_outside() {
    let (ca, right, wrong) = (authority(), secret(), secret());
    let owner = owner(&ca, 24, 0, &right).await;
    let door = owner.door().unwrap();
    let unproven = "does not prove that it knows the secret";
    let stranger = behind(0, &wrong).await.unwrap();
    let told = problem(&stranger, door).await;
    assert!(told.contains(unproven), "{told}");
    let told = problem(&owner, stranger.addr()).await;
    assert!(told.contains(unproven), "{told}");
    warning(&[unproven]).await;
    // One that knows nothing of secrets is not even sent a Hello.
    let plain = start(loopback(25), Tcp).await.unwrap();
    let told = problem(&plain, door).await;
    assert!(told.contains("to which this node has no secret"), "{told}");
    let by_address = NodeAddr::new("127.0.0.1", door.port());
    let told = problem(&plain, &by_address).await;
    assert!(told.contains("comes through this machine's door"), "{told}");
    let inner = behind(0, &right).await.unwrap();
    assert_answers(&inner, door).await;
    // And those behind the door take nobody who is not of them.
    let by_address = NodeAddr::new("127.0.0.1", inner.addr().port());
    let told = problem(&plain, &by_address).await;
    assert!(told.contains(unproven), "{told}");
}

/// Somebody who listens where the owner was learns nothing, and is not believed.
#[tokio::test]
async fn whoever_takes_the_place_of_the_owner_is_not_believed() {
    let (ca, secret) = (authority(), secret());
    let owner = owner(&ca, 26, 0, &secret).await;
    let port = owner.door().unwrap().port();
    owner.shutdown().await;
    let fake = start(NodeAddr::new("127.0.0.1", port), Tcp).await.unwrap();
    let inner = behind(0, &secret).await.unwrap();
    let told = problem(&inner, &NodeAddr::door(port)).await;
    assert!(
        told.contains("does not prove that it knows the secret"),
        "{told}"
    );
    drop(fake);
}

#[tokio::test]
async fn a_node_behind_the_door_cannot_pass_for_one_elsewhere() {
    let (ca, secret) = (authority(), secret());
    let owner = owner(&ca, 27, 0, &secret).await;
    let master = start(loopback(28), of(&ca, &["127.0.0.28"])).await.unwrap();
    let builder = Node::builder(loopback(1)).advertise(master.addr().clone());
    let bad = builder
        .secret(secret.clone())
        .workers(1)
        .start()
        .await
        .unwrap();
    let told = problem(&bad, owner.door().unwrap()).await;
    assert!(told.contains("comes through this machine's door"), "{told}");
    assert_answers(&owner, master.addr()).await;
}

#[tokio::test]
async fn the_main_listener_takes_nothing_without_tls() {
    let (ca, secret) = (authority(), secret());
    let owner = owner(&ca, 29, 0, &secret).await;
    let inner = behind(0, &secret).await.unwrap();
    let told = problem(&inner, owner.addr()).await;
    assert!(told.contains("speaks TLS"), "{told}");
    // Nor does a certificate make one a node behind the door.
    let liar: Tls = of(&ca, &["127.0.0.30"]);
    let builder = Node::builder(loopback(30)).advertise(NodeAddr::door(0));
    let bad = builder
        .transport(Arc::new(Liar(liar)))
        .workers(1)
        .start()
        .await
        .unwrap();
    let told = problem(&bad, owner.addr()).await;
    assert!(told.contains("you call yourself door.localhost:"), "{told}");
}

/// A browser cannot prove anything.
#[tokio::test]
async fn http_is_not_served_at_a_door_nor_behind_it() {
    let (ca, secret) = (authority(), secret());
    let owner = owner(&ca, 31, 0, &secret).await;
    let inner = behind(0, &secret).await.unwrap();
    for addr in [owner.door().unwrap(), inner.addr()] {
        let mut stream = TcpStream::connect(("127.0.0.1", addr.port()))
            .await
            .unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty(), "{answer}");
    }
    assert_answers(&inner, owner.door().unwrap()).await;
}
