//! Simulated TCP, of a `turmoil` host.
//!
//! Hosts are dialled by the name they have in the simulation, or by their address. Turmoil knows
//! neither a lost SYN (it reports a refused connection at once) nor retransmission (a stream that
//! lost a segment is stuck for ever); the first is corrected here, the second is what the links'
//! silence limit is for.

use std::{
    future::{Future, pending, poll_fn},
    io,
    net::{Ipv4Addr, Ipv6Addr},
    pin::pin,
    task::Poll,
};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use turmoil::net::{TcpListener, TcpStream};

use super::{Listener, Opening, ReadHalf, Stream, Transport, WriteHalf};
use crate::pid::NodeAddr;

/// The network of the simulation that the calling host belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turmoil;

impl Transport for Turmoil {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let addr = addr.clone();
        Box::pin(async move {
            let listener = if turmoil::lookup(bare(&addr)).is_ipv6() {
                TcpListener::bind((Ipv6Addr::UNSPECIFIED, addr.port())).await?
            } else {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.port())).await?
            };
            let addr = NodeAddr::new(addr.host(), listener.local_addr()?.port());
            Ok(Box::new(Door { listener, addr }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let (host, port) = (bare(addr).to_owned(), addr.port());
        Box::pin(async move {
            let mut dial = pin!(TcpStream::connect((host, port)));
            // A refusal needs a round trip; one at the first poll is a SYN that a partition ate.
            let first = poll_fn(|context| Poll::Ready(dial.as_mut().poll(context))).await;
            let stream = match first {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    pending().await
                }
                Poll::Ready(result) => result?,
                Poll::Pending => dial.await?,
            };
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

fn bare(addr: &NodeAddr) -> &str {
    addr.host().trim_start_matches('[').trim_end_matches(']')
}

struct Door {
    listener: TcpListener,
    addr: NodeAddr,
}

impl Listener for Door {
    fn addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Opening, String)>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
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
