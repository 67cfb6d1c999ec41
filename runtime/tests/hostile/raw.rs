//! A peer whose bytes a test writes itself, as the wire format of version 2 has them.

use serde::Serialize;
use tepui_runtime::NodeAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const PREAMBLE: &[u8; 9] = b"TEPUI\0\x01\0\x02";
const HELLO: u8 = 1;
const START: u8 = 3;
const RESUME: u8 = 4;
const TELL: u8 = 64;

#[derive(Serialize)]
struct Hello {
    addr: String,
    incarnation: u64,
    wanted: String,
    epoch: u64,
    lane: u8,
    windows: [u64; 2],
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[kind], body].concat()
}

fn hello(addr: &str, wanted: &str) -> Vec<u8> {
    let (addr, wanted) = (addr.to_owned(), wanted.to_owned());
    let hello = Hello {
        addr,
        incarnation: 77,
        wanted,
        epoch: 1,
        lane: 0,
        windows: [8 << 20, 4 << 20],
    };
    frame(HELLO, &rmp_serde::to_vec_named(&hello).unwrap())
}

/// A message `test.Load` as it travels.
pub(crate) fn load(bytes: usize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Load {
        n: u64,
        #[serde(with = "serde_bytes")]
        payload: Vec<u8>,
    }
    let payload = vec![7; bytes];
    rmp_serde::to_vec_named(&Load { n: 0, payload }).unwrap()
}

/// The peer, connected and introduced.
pub(crate) struct Raw {
    pub(crate) read: OwnedReadHalf,
    pub(crate) write: OwnedWriteHalf,
}

/// A peer that takes one connection, introduces itself, and never reads again.
pub(crate) struct Mute {
    pub(crate) addr: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    /// Dials `addr` and goes through the handshake.
    pub(crate) async fn greet(addr: &NodeAddr) -> Self {
        Self::greet_as(addr, 0).await
    }

    /// As one of many peers.
    pub(crate) async fn greet_as(addr: &NodeAddr, number: usize) -> Self {
        let stream = TcpStream::connect(addr.to_string()).await.unwrap();
        let (read, mut write) = stream.into_split();
        // An address where nobody listens, so that looking for the peer needs no names.
        let [.., high, low] = u32::try_from(number).unwrap().to_be_bytes();
        let name = format!("127.77.{high}.{low}:1");
        let first = 1_u64.to_be_bytes();
        let all = [
            &PREAMBLE[..],
            &hello(&name, &addr.to_string()),
            &frame(START, &[]),
            &frame(RESUME, &first),
        ];
        write.write_all(&all.concat()).await.unwrap();
        Self { read, write }
    }

    /// Waits until the other side has said something.
    pub(crate) async fn expect_any(&mut self) {
        assert!(self.read.read(&mut [0; 9]).await.unwrap() > 0);
    }

    /// A frame that tells the actor `to` a message.
    pub(crate) fn tell(&self, to: &str, name: &str, body: &[u8]) -> Vec<u8> {
        let short = |text: &str| {
            let length = u16::try_from(text.len()).unwrap();
            [&length.to_be_bytes()[..], text.as_bytes()].concat()
        };
        let header = [&[0; 8][..], &1_u16.to_be_bytes(), &short(to), &short(name)].concat();
        let length = u16::try_from(header.len()).unwrap().to_be_bytes();
        frame(TELL, &[&length[..], &header, body].concat())
    }

    /// Listens for one connection.
    pub(crate) async fn listen() -> Mute {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let own = addr.clone();
        #[expect(clippy::disallowed_methods, reason = "the peer is no actor")]
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let all = [&PREAMBLE[..], &hello(&own, &own)];
            stream.write_all(&all.concat()).await.unwrap();
            // It lives, and says so, but reads nothing.
            loop {
                let soon = tokio::time::Instant::now() + std::time::Duration::from_millis(500);
                tokio::time::sleep_until(soon).await;
                if stream.write_all(&frame(6, &[0; 16])).await.is_err() {
                    return;
                }
            }
        });
        Mute { addr, task }
    }
}
