//! Peers that are not what they should be: each costs its own connection and no more.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until},
};

use crate::{
    frame::{Control, Decoder, Hello, Preamble, Wire, encode_control},
    links::{LinkConfig, Links, Loss, testing::*},
    pid::NodeAddr,
    transport::{Listener, MemoryNetwork, ReadHalf, Stream, Tcp, Transport, WriteHalf},
};

/// A peer whose bytes the test writes itself.
struct Raw {
    read: ReadHalf,
    write: WriteHalf,
}

impl Raw {
    fn new(stream: Box<dyn Stream>) -> Self {
        let (read, write) = stream.into_split();
        Self { read, write }
    }

    async fn dial(network: &MemoryNetwork, addr: &NodeAddr) -> Self {
        Self::new(network.transport().connect(addr).await.unwrap())
    }

    async fn accept(listener: &mut dyn Listener) -> Self {
        let (opening, _) = within(listener.accept()).await.unwrap();
        Self::new(opening.await.unwrap())
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    async fn control(&mut self, control: Control) {
        let mut bytes = BytesMut::new();
        encode_control(&control, &mut bytes);
        self.say(&bytes).await;
    }

    /// Introduces itself as `name`, as a dialler does.
    async fn introduce(&mut self, name: &str, wanted: &NodeAddr) {
        self.say(&Preamble { min: 1, max: 1 }.encode()).await;
        let (addr, wanted) = (name.parse().unwrap(), wanted.clone());
        self.control(Control::Hello(Hello {
            addr,
            incarnation: 77,
            wanted,
            epoch: 1,
            lane: 0,
            windows: [1 << 20, 1 << 20],
        }))
        .await;
        self.control(Control::Start).await;
    }

    /// Everything until the other side closes.
    async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        within(self.read.read_to_end(&mut bytes)).await.unwrap();
        bytes
    }

    /// The reason that the other side gave when it closed.
    async fn reason(&mut self) -> String {
        let bytes = self.rest().await;
        let mut frames = BytesMut::from(&bytes[9..]);
        let mut decoder = Decoder::new("raw:1".parse().unwrap(), 1 << 20);
        while let Some(wire) = decoder.next(&mut frames).unwrap() {
            if let Wire::Control(Control::Reject(why)) = wire {
                return why;
            }
        }
        panic!("closed without a reason: {bytes:?}")
    }
}

async fn node(network: &MemoryNetwork) -> TestNode {
    TestNode::on(network, "a:1", life(1)).await
}

/// The node still works.
async fn works(network: &MemoryNetwork, a: &TestNode) {
    let b = TestNode::on(network, "works:0", life(2)).await;
    let before = a.inbox.numbers().len();
    b.count(a, 0..3);
    a.inbox.until_numbers(before + 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_dialled_stranger_is_named_with_its_first_bytes() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let addr = "web:80".parse().unwrap();
    let mut web = network.transport().listen(&addr).await.unwrap();
    a.links.send(&addr, tell(1)).unwrap();
    let mut raw = Raw::accept(&mut *web).await;
    raw.say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    a.inbox.until(|inbox| !inbox.undelivered().is_empty()).await;
    let (frame, loss, problem) = a.inbox.undelivered().remove(0);
    assert_eq!((frame, loss), (tell(1), Loss::NodeDown));
    assert_eq!(
        problem,
        "peer web:80 does not speak tepui (it began with \"HTTP/1.1\")"
    );
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_dials_is_told_and_dropped() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut raw = Raw::dial(&network, a.addr()).await;
    raw.say(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let why = raw.reason().await;
    assert_eq!(
        why,
        "the peer does not speak tepui (it began with \"SSH-2.0-\")"
    );
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn versions_without_overlap_are_named_on_both_sides() {
    let network = MemoryNetwork::new();
    let newer = LinkConfig {
        versions: Preamble { min: 3, max: 4 },
        ..life(2)
    };
    let a = node(&network).await;
    let b = TestNode::on(&network, "b:1", newer).await;
    a.count(&b, 0..1);
    b.count(&a, 0..1);
    a.inbox.until(|inbox| !inbox.undelivered().is_empty()).await;
    b.inbox.until(|inbox| !inbox.undelivered().is_empty()).await;
    assert_eq!(
        a.inbox.undelivered()[0].2,
        "peer b:1 speaks protocol 3..4, this node 1..2; upgrade the older one"
    );
    assert_eq!(
        b.inbox.undelivered()[0].2,
        "peer a:1 speaks protocol 1..2, this node 3..4; upgrade the older one"
    );
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn adjacent_versions_talk() {
    let network = MemoryNetwork::new();
    let newer = LinkConfig {
        versions: Preamble { min: 1, max: 2 },
        ..life(2)
    };
    let a = node(&network).await;
    let b = TestNode::on(&network, "b:1", newer).await;
    a.count(&b, 0..1);
    b.inbox.until_numbers(1).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_and_silent_peers_are_dropped_in_time() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let start = Instant::now();
    let mut silent = Raw::dial(&network, a.addr()).await;
    let mut slow = Raw::dial(&network, a.addr()).await;
    slow.say(b"TEP").await;
    silent.rest().await;
    slow.rest().await;
    assert_eq!(start.elapsed().as_secs(), 3);
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn strangers_beyond_the_bound_push_the_oldest_out() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let start = Instant::now();
    let mut first = Raw::dial(&network, a.addr()).await;
    let mut others = Vec::new();
    for _ in 0..1024 {
        others.push(Raw::dial(&network, a.addr()).await);
    }
    first.rest().await;
    assert!(start.elapsed() < Duration::from_secs(1));
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_is_reported() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let addr = "mute:1".parse().unwrap();
    let mut mute = network.transport().listen(&addr).await.unwrap();
    a.links.send(&addr, tell(1)).unwrap();
    let _raw = Raw::accept(&mut *mute).await;
    a.inbox.until(|inbox| !inbox.undelivered().is_empty()).await;
    let (_, loss, problem) = a.inbox.undelivered().remove(0);
    assert_eq!(loss, Loss::Unreachable);
    assert_eq!(
        problem,
        "peer mute:1 took the connection but did not introduce itself within 3s"
    );
}

#[tokio::test(start_paused = true)]
async fn oversized_and_corrupt_frames_cost_only_their_link() {
    let corrupt: [(&[u8], &str); 4] = [
        (
            &[0xff, 0xff, 0xff, 0xff, 1],
            "sent a frame that has 4294967295 bytes, at most",
        ),
        (&[0, 0, 0, 0], "sent a frame that is empty"),
        (
            &[0, 0, 0, 3, 64, 0, 9],
            "sent a frame that is corrupt (kind 64, bad header)",
        ),
        (&[0, 0, 0, 1, 200], "sent a frame before its turn"),
    ];
    for (bytes, expected) in corrupt {
        let network = MemoryNetwork::new();
        let a = node(&network).await;
        let mut raw = Raw::dial(&network, a.addr()).await;
        raw.introduce("raw:1", a.addr()).await;
        raw.say(bytes).await;
        let why = raw.reason().await;
        assert!(why.contains(expected), "{why}");
        a.inbox.until_lost().await;
        assert_eq!(a.inbox.losses()[0].2, Loss::Unreachable);
        works(&network, &a).await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_of_unknown_kinds_are_skipped() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut raw = Raw::dial(&network, a.addr()).await;
    raw.introduce("raw:1", a.addr()).await;
    raw.say(&[0, 0, 0, 3, 63, 1, 2]).await;
    raw.control(Control::Resume { first: 1 }).await;
    raw.say(&[0, 0, 0, 3, 200, 1, 2]).await;
    let mut bytes = BytesMut::new();
    crate::frame::encode_frame(&tell(5), &mut bytes);
    raw.say(&bytes).await;
    a.inbox.until_numbers(1).await;
    assert_eq!(a.inbox.numbers(), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_started_changes_nothing() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    b.count(&a, 0..1);
    a.inbox.until_numbers(1).await;
    let mut raw = Raw::dial(&network, a.addr()).await;
    raw.say(&Preamble { min: 1, max: 1 }.encode()).await;
    let (addr, wanted) = (b.addr().clone(), a.addr().clone());
    raw.control(Control::Hello(Hello {
        addr,
        incarnation: 99,
        wanted,
        epoch: 9,
        lane: 0,
        windows: [1 << 20, 1 << 20],
    }))
    .await;
    drop(raw);
    sleep_until(Instant::now() + Duration::from_secs(5)).await;
    assert!(a.inbox.losses().is_empty());
    works(&network, &a).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_reaches_itself_by_another_name_and_is_told_of_its_double() {
    let network = MemoryNetwork::new();
    let own: NodeAddr = "same:1".parse().unwrap();
    let bind = |addr: &str, incarnation| {
        let (addr, transport) = (addr.parse().unwrap(), network.transport());
        let own = own.clone();
        async move {
            let links = Links::bind(&addr, Some(own), life(incarnation), transport)
                .await
                .unwrap();
            let inbox = Arc::new(Inbox::default());
            let inbound: std::sync::Weak<Inbox> = Arc::downgrade(&inbox);
            links.serve(inbound);
            TestNode { links, inbox }
        }
    };
    let a = bind("a:1", 1).await;
    let _b = bind("b:1", 2).await;
    a.links.send(&"b:1".parse().unwrap(), tell(1)).unwrap();
    a.inbox.until(|inbox| !inbox.undelivered().is_empty()).await;
    assert_eq!(
        a.inbox.undelivered()[0].2,
        "peer b:1 has the address of this node, same:1; give each node an address of its own"
    );
    for number in 0..1000 {
        a.links.send(&"a:1".parse().unwrap(), tell(number)).unwrap();
        if number == 500 {
            a.inbox.until_numbers(500).await;
        }
    }
    a.inbox.until_numbers(1000).await;
    assert!(a.inbox.numbers().into_iter().eq(0..1000));
    assert_eq!(
        a.inbox.numbers_by_sender().into_keys().collect::<Vec<_>>(),
        [a.id(1)]
    );
    within(a.links.shutdown()).await;
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_are_frequent_enough_for_the_patience() {
    let network = MemoryNetwork::new();
    let hasty = |incarnation| LinkConfig {
        lost_after: Duration::from_millis(800),
        ..life(incarnation)
    };
    let a = TestNode::on(&network, "a:1", hasty(1)).await;
    let b = TestNode::on(&network, "b:1", hasty(2)).await;
    a.count(&b, 0..1);
    sleep_until(Instant::now() + Duration::from_secs(60)).await;
    assert!(a.inbox.losses().is_empty() && b.inbox.losses().is_empty());
    let connections = a.links.0.core.next_connection() - 1;
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn an_address_in_use_is_named_with_what_to_do() {
    let tcp: Arc<dyn Transport> = Arc::new(Tcp);
    let a = TestNode::bound("127.0.0.1:0", life(1), tcp.clone()).await;
    let refused = Links::bind(a.addr(), None, life(2), tcp.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        format!(
            "cannot listen on {}: address already in use; choose another port or stop the \
             process that has it",
            a.addr()
        )
    );
    let any = "0.0.0.0:0".parse().unwrap();
    let refused = Links::bind(&any, None, life(2), tcp.clone())
        .await
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("NodeBuilder::advertise"),
        "{refused}"
    );
    let own = Some("localhost:0".parse().unwrap());
    let open = LinkConfig {
        insecure: true,
        ..life(2)
    };
    let links = Links::bind(&any, own, open, tcp).await.unwrap();
    assert_ne!(links.addr().port(), 0);
}
