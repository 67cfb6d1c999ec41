//! TCP, as the operating system has it.

use std::io;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use super::{Listener, ReadHalf, Stream, Transport, WriteHalf};
use crate::pid::NodeAddr;

/// TCP sockets without Nagle's delay. Host names are resolved, and each address is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let addr = addr.clone();
        Box::pin(async move {
            let listener = TcpListener::bind(addr.to_string()).await?;
            let addr = NodeAddr::new(addr.host(), listener.local_addr()?.port());
            Ok(Box::new(TcpDoor { listener, addr }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let addr = addr.to_string();
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
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

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Stream>, from.to_string()))
        })
    }
}

impl Stream for TcpStream {
    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = TcpStream::into_split(*self);
        (Box::new(read), Box::new(write))
    }
}
