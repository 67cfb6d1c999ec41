//! How often peers are dialled that do not answer, and what becomes of what waits for them.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use crate::{
    links::{LinkConfig, Loss, locked, testing::*},
    pid::NodeAddr,
    transport::{Listener, MemoryNetwork, Stream, Transport},
};

/// Writes down when somebody is dialled, and lets only so many through.
struct Turnstile {
    inner: Arc<dyn Transport>,
    dialled: Mutex<Vec<Instant>>,
    allowed: usize,
}

impl Turnstile {
    fn of(network: &MemoryNetwork, allowed: usize) -> Arc<Self> {
        let (inner, dialled) = (network.transport(), Mutex::default());
        Arc::new(Self {
            inner,
            dialled,
            allowed,
        })
    }
}

impl Transport for Turnstile {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        self.inner.listen(addr)
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let mut dialled = locked(&self.dialled);
        dialled.push(Instant::now());
        if dialled.len() > self.allowed {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Box::pin(async { Err(refused) });
        }
        self.inner.connect(addr)
    }
}

async fn pass(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_dialled_after_growing_pauses_however_much_is_sent() {
    let network = MemoryNetwork::new();
    let turnstile = Turnstile::of(&network, usize::MAX);
    let a = TestNode::bound("a:1", life(1), turnstile.clone()).await;
    let nobody = "b:1".parse().unwrap();
    for number in 0..500 {
        a.links.send(&nobody, tell(number)).unwrap();
        pass(Duration::from_millis(10)).await;
    }
    // 0, 50, 150, 350, 750, 1550, 2550, 3550 and 4550 ms at the latest.
    let dialled = locked(&turnstile.dialled).len();
    assert!((9..=12).contains(&dialled), "{dialled}");
    pass(Duration::from_secs(1)).await;
    assert_eq!(a.inbox.undelivered().len(), 500, "each is handed back");
    let b = TestNode::on(&network, "b:1", life(2)).await;
    let begun = Instant::now();
    a.count(&b, 0..3);
    b.inbox.until_numbers(3).await;
    assert!(
        begun.elapsed() <= Duration::from_secs(1),
        "what waits out a pause arrives"
    );
    assert_eq!(b.inbox.numbers(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn large_frames_without_a_connection_of_their_own_are_handed_back() {
    let network = MemoryNetwork::new();
    let patience = Duration::from_secs(3);
    let config = LinkConfig {
        lost_after: patience,
        ..life(1)
    };
    let turnstile = Turnstile::of(&network, 1);
    let a = TestNode::bound("a:1", config, turnstile.clone()).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    a.count(&b, 0..1);
    b.inbox.until_numbers(1).await;
    pass(Duration::from_secs(20)).await;
    let begun = Instant::now();
    a.tell_to(&b, "big", 7, 1 << 20).unwrap();
    pass(patience / 2).await;
    a.count(&b, 1..2);
    b.inbox.until_numbers(2).await;
    assert!(begun.elapsed() < patience, "small frames pass meanwhile");
    a.inbox.until_lost().await;
    let (at, _, loss) = a.inbox.losses().remove(0);
    assert_eq!(loss, Loss::Unreachable);
    assert_eq!(at - begun, patience);
    let (frame, _, problem) = a.inbox.undelivered().remove(0);
    assert_eq!(number_of(&frame), 7);
    assert!(problem.contains("no second connection"), "{problem}");
    let dialled = locked(&turnstile.dialled).len();
    assert!((5..30).contains(&dialled), "with pauses: {dialled}");
}
