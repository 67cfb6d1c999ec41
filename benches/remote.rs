//! Messages between two nodes over loopback TCP, beside a raw socket in the same run.
//!
//! Both ends live in this process, each on a thread of its own. The raw link carries the same
//! 100-byte payload in length-delimited MessagePack frames, written in batches of up to 256 KiB.
//! Cases: tells a second (wall time and CPU of both ends), ping-pong latency.
//! `cargo bench --bench remote`

mod figures;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use figures::{cpu_time, quantile, record, wall};
use tepui_runtime::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

const ROUNDS: usize = 7;
const TELLS: u64 = 200_000;
const PINGS: usize = 20_000;
const BATCH: usize = 256 * 1024;

#[derive(Clone, Serialize, Deserialize, Message)]
#[message(name = "bench.Load", reply = u64)]
struct Load {
    n: u64,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

impl Load {
    fn new(n: u64) -> Self {
        Self {
            n,
            payload: vec![7; 100],
        }
    }
}

struct Sink(Arc<AtomicU64>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Load> for Sink {
    type Result = u64;

    fn handle(&mut self, load: Load, _: &mut Context<Self>) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        load.n
    }
}

accepts!(Sink: Load);

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A way to send loads and to wait for their arrival.
trait Link {
    async fn tell(&mut self, load: Load);
    async fn flush(&mut self) {}
    async fn ask(&mut self, load: Load) -> u64;
}

struct OurLink {
    _here: Node,
    sink: Pid<Sink>,
}

impl Link for OurLink {
    async fn tell(&mut self, load: Load) {
        self.sink.tell_wait(load).await.expect("the link is up");
    }

    async fn ask(&mut self, load: Load) -> u64 {
        self.sink
            .ask(load, Duration::from_secs(5))
            .await
            .expect("an answer")
    }
}

struct RawLink {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Appends `load` as a frame: four bytes of length, one that says whether to answer, the body.
fn frame(buffer: &mut Vec<u8>, load: &Load, answer: bool) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(u8::from(answer));
    rmp_serde::encode::write_named(buffer, load).expect("a load encodes");
    let length = u32::try_from(buffer.len() - start - 4).expect("a small frame");
    buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

impl Link for RawLink {
    async fn tell(&mut self, load: Load) {
        frame(&mut self.buffer, &load, false);
        if self.buffer.len() >= BATCH {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        self.stream
            .write_all(&self.buffer)
            .await
            .expect("the socket is up");
        self.buffer.clear();
    }

    async fn ask(&mut self, load: Load) -> u64 {
        frame(&mut self.buffer, &load, true);
        self.flush().await;
        self.stream.read_u64().await.expect("an answer")
    }
}

/// Serves one raw connection: decodes, counts, answers where asked.
async fn serve_raw(mut stream: TcpStream, arrived: Arc<AtomicU64>) {
    let mut bytes = bytes::BytesMut::with_capacity(2 * BATCH);
    while stream.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {
        while bytes.len() >= 4 {
            let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            if bytes.len() < 4 + length {
                break;
            }
            let body = bytes.split_to(4 + length);
            let load: Load = rmp_serde::from_slice(&body[5..]).expect("a load decodes");
            arrived.fetch_add(1, Ordering::Relaxed);
            if body[4] == 1 {
                stream.write_u64(load.n).await.expect("the socket is up");
            }
        }
    }
}

async fn our_link(arrived: Arc<AtomicU64>) -> (OurLink, Node) {
    let addr = || "127.0.0.1:0".parse().expect("an address");
    let there = Node::builder(addr())
        .workers(1)
        .start()
        .await
        .expect("a node");
    let here = Node::builder(addr())
        .workers(1)
        .start()
        .await
        .expect("a node");
    let sink = there.spawn("sink", Sink(arrived)).expect("a free name");
    let sink = here.bind(sink.as_any());
    (OurLink { _here: here, sink }, there)
}

async fn raw_link(arrived: Arc<AtomicU64>) -> RawLink {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender
                .send(listener.local_addr().expect("an address"))
                .expect("the bench waits");
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            serve_raw(stream, arrived).await;
        });
    });
    let addr = receiver.recv().expect("the server started");
    let stream = TcpStream::connect(addr).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    RawLink {
        stream,
        buffer: Vec::with_capacity(2 * BATCH),
    }
}

/// Tells a second, and CPU nanoseconds a tell of both ends; medians.
fn tells(runtime: &Runtime, link: &mut impl Link, arrived: &AtomicU64) -> (f64, f64) {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let goal = arrived.load(Ordering::Relaxed) + TELLS;
        let cpu = cpu_time();
        let took = wall(|| {
            runtime.block_on(async {
                for n in 0..TELLS {
                    link.tell(Load::new(n)).await;
                }
                link.flush().await;
                while arrived.load(Ordering::Relaxed) < goal {
                    link.ask(Load::new(0)).await;
                }
            });
        });
        rates.push(TELLS as f64 / took.as_secs_f64());
        costs.push((cpu_time() - cpu).as_nanos() as f64 / TELLS as f64);
    }
    rates.sort_by(f64::total_cmp);
    costs.sort_by(f64::total_cmp);
    (quantile(&rates, 0.5), quantile(&costs, 0.5))
}

/// Microseconds of a question and its answer, sorted.
fn pings(runtime: &Runtime, link: &mut impl Link) -> Vec<f64> {
    let mut times = runtime.block_on(async {
        let mut times = Vec::with_capacity(PINGS);
        for n in 0..PINGS as u64 {
            let start = tokio::time::Instant::now();
            assert_eq!(link.ask(Load::new(n)).await, n);
            times.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
        times
    });
    times.sort_by(f64::total_cmp);
    times
}

fn main() {
    let runtime = runtime();
    let arrived = Arc::new(AtomicU64::new(0));
    let (mut ours, _there) = runtime.block_on(our_link(arrived.clone()));
    let mut raw = runtime.block_on(raw_link(arrived.clone()));

    let (raw_rate, raw_cpu) = tells(&runtime, &mut raw, &arrived);
    let (rate, cpu) = tells(&runtime, &mut ours, &arrived);
    let baseline = format!("raw socket {raw_rate:.0}/s, {raw_cpu:.0} ns CPU of both ends");
    record("remote/tell-100B/rate", rate, "messages/s", &baseline);
    record("remote/tell-100B/cpu", cpu, "ns/op", &baseline);
    record(
        "remote/tell-100B/cpu/vs-raw",
        cpu / raw_cpu,
        "ratio",
        &baseline,
    );

    let (raw_pings, our_pings) = (pings(&runtime, &mut raw), pings(&runtime, &mut ours));
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let (ours, raw) = (quantile(&our_pings, q), quantile(&raw_pings, q));
        let baseline = format!("raw socket {raw:.1} us");
        record(&format!("remote/ping-pong/{name}"), ours, "us", &baseline);
        record(
            &format!("remote/ping-pong/{name}/vs-raw"),
            ours / raw,
            "ratio",
            &baseline,
        );
    }
}
