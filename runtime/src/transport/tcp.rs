//! TCP, as the operating system has it.

use std::{io, net::Ipv4Addr};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use tokio::net::{TcpListener, TcpStream};

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

/// Connects to `addr`.
pub(super) async fn connect(addr: &NodeAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address(addr)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
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
