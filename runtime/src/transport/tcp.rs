//! TCP, as the operating system has it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::spawn_blocking,
};

use super::{Listener, Opening, ReadHalf, Stream, Transport, Unsafe, WriteHalf};
use crate::pid::NodeAddr;

/// TCP sockets without Nagle's delay. Host names are resolved, and each address is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let addr = addr.clone();
        Box::pin(async move {
            let (listener, addr) = bind(&addr).await?;
            Ok(Box::new(TcpDoor { listener, addr }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let addr = addr.clone();
        Box::pin(async move { Ok(Box::new(connect(&addr).await?) as Box<dyn Stream>) })
    }

    fn vouch(&self, listen: &NodeAddr, _: &NodeAddr) -> Result<(), Unsafe> {
        if listen.is_loopback() {
            Ok(())
        } else {
            Err(Unsafe::Open)
        }
    }
}

/// Listens on `addr`, and tells the real port.
pub(super) async fn bind(addr: &NodeAddr) -> io::Result<(TcpListener, NodeAddr)> {
    let listener = TcpListener::bind(address(addr)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, NodeAddr::new(addr.host(), port)))
}

/// Names that are looked up at the same time. Each takes a thread, of which actors want some, too, and
/// one that nobody answers for takes it for many seconds.
static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);
const LOOKUPS_MAX: usize = 64;

/// Connects to `addr`.
pub(super) async fn connect(addr: &NodeAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(&lookup(addr).await?[..]).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn lookup(addr: &NodeAddr) -> io::Result<Vec<SocketAddr>> {
    let port = addr.port();
    if addr.is_door() {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
    }
    let host = addr.host().trim_matches(['[', ']']);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let turn = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let host = host.to_owned();
    let looking = spawn_blocking(move || {
        // Until the system has answered, whoever has given up meanwhile.
        let _turn = turn;
        Ok((host.as_str(), port).to_socket_addrs()?.collect())
    });
    looking.await.map_err(io::Error::other)?
}

/// What the system is asked for. A door is on loopback, and no resolver is trusted with that.
fn address(addr: &NodeAddr) -> String {
    if addr.is_door() {
        format!("{}:{}", Ipv4Addr::LOCALHOST, addr.port())
    } else {
        addr.to_string()
    }
}

struct TcpDoor {
    listener: TcpListener,
    addr: NodeAddr,
}

impl Listener for TcpDoor {
    fn addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Opening, String)>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let stream = Box::new(stream) as Box<dyn Stream>;
            Ok((ready(Ok(stream)).boxed(), from.to_string()))
        })
    }
}

impl Stream for TcpStream {
    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = TcpStream::into_split(*self);
        (Box::new(read), Box::new(write))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn names_wait_for_each_other_and_addresses_for_nobody() {
        let all = LOOKUPS.acquire_many(LOOKUPS_MAX as u32).await.unwrap();
        let address = lookup(&NodeAddr::new("127.0.0.1", 1)).await.unwrap();
        assert_eq!(address, ["127.0.0.1:1".parse().unwrap()]);
        let address = lookup(&NodeAddr::new("[::1]", 1)).await.unwrap();
        assert_eq!(address, ["[::1]:1".parse().unwrap()]);
        let name = NodeAddr::new("localhost", 1);
        let mut waits = std::pin::pin!(lookup(&name));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        drop(all);
        let found = waits.await.unwrap();
        assert!(found.iter().all(|found| found.ip().is_loopback()));
        assert!(!found.is_empty());
    }
}
