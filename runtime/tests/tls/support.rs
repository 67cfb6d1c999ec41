//! Authorities, certificates and nodes for tests.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tepui_certs::{Authority, DAY, Validity};
use tepui_runtime::{
    StartError,
    prelude::*,
    transport::{Listener, Stream, Tls, Transport},
};

/// No answer takes longer on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A day in 2026 on which certificates begin that hold; others end or begin long before or after.
pub(crate) const NOW: i64 = 1_767_225_600;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Double", reply = u64)]
pub(crate) struct Double(pub(crate) u64);

/// Doubles numbers.
pub(crate) struct Doubler;

impl Actor for Doubler {
    type Context = Context<Self>;
}

impl Handler<Double> for Doubler {
    type Result = u64;

    fn handle(&mut self, number: Double, _: &mut Context<Self>) -> u64 {
        number.0 * 2
    }
}

accepts!(Doubler: Double);

/// An authority, as `tepui certs init` makes it.
pub(crate) fn authority() -> Authority {
    Authority::create(Validity::days_from(NOW, 36_500))
        .unwrap()
        .0
}

/// From when to when certificates of tests hold.
pub(crate) fn valid() -> Validity {
    Validity::days_from(NOW, 36_000)
}

pub(crate) fn expired() -> Validity {
    Validity::days_from(NOW - 1000 * DAY, 999)
}

pub(crate) fn not_yet() -> Validity {
    Validity {
        not_before: NOW + 35_000 * DAY,
        not_after: NOW + 36_000 * DAY,
    }
}

/// An identity that trusts `ca` and shows a certificate of `issuer` for `hosts`.
pub(crate) fn identity(
    ca: &Authority,
    issuer: &Authority,
    hosts: &[&str],
    validity: Validity,
) -> Tls {
    let hosts: Vec<_> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let issued = issuer.issue(&hosts, validity).unwrap();
    Tls::new(
        ca.cert().as_bytes(),
        issued.cert.as_bytes(),
        issued.key.as_bytes(),
    )
    .unwrap()
}

/// An identity as every node of the cluster has it.
pub(crate) fn of(ca: &Authority, hosts: &[&str]) -> Tls {
    identity(ca, ca, hosts, valid())
}

/// `127.0.0.n`, with a free port.
pub(crate) fn loopback(n: u8) -> NodeAddr {
    NodeAddr::new(&Ipv4Addr::new(127, 0, 0, n).to_string(), 0)
}

/// A node with a [`Doubler`] on it.
pub(crate) async fn start(addr: NodeAddr, transport: impl Transport) -> Result<Node, StartError> {
    super::log::keep();
    let builder = Node::builder(addr).workers(1);
    let node = builder.transport(Arc::new(transport)).start().await?;
    node.spawn("doubler", Doubler).unwrap();
    Ok(node)
}

/// Whoever doubles at `addr`.
pub(crate) fn doubler(addr: &NodeAddr) -> AnyPid {
    AnyPid::new("doubler", addr.clone()).unwrap()
}

pub(crate) async fn ask(node: &Node, addr: &NodeAddr) -> Result<u64, AskError> {
    node.ask(&doubler(addr), Double(21), PATIENCE).await
}

/// The nodes understand each other.
pub(crate) async fn assert_answers(node: &Node, addr: &NodeAddr) {
    assert_eq!(ask(node, addr).await, Ok(42), "{node:?} asks {addr}");
}

/// What the asker is told.
pub(crate) async fn problem(node: &Node, addr: &NodeAddr) -> String {
    match ask(node, addr).await {
        Err(AskError::Unreachable { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// A transport that calls itself whatever it is told to.
pub(crate) struct Liar(pub(crate) Tls);

impl Transport for Liar {
    fn listen(
        &self,
        addr: &NodeAddr,
    ) -> futures_util::future::BoxFuture<'_, std::io::Result<Box<dyn Listener>>> {
        self.0.listen(addr)
    }

    fn connect(
        &self,
        addr: &NodeAddr,
    ) -> futures_util::future::BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        self.0.connect(addr)
    }
}
