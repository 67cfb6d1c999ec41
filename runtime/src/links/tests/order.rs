//! Frames arrive once and in order, whatever the connections do.

use std::time::Duration;

use tokio::{task::yield_now, time::advance};

use crate::{
    links::{LinkConfig, Refused, testing::*},
    transport::{MemoryNetwork, Tcp},
};

async fn pair() -> (MemoryNetwork, TestNode, TestNode) {
    let network = MemoryNetwork::new();
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    (network, a, b)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_frames_arrive_in_order_in_both_directions() {
    let (_network, a, b) = pair().await;
    a.count(&b, 0..10_000);
    b.count(&a, 0..10_000);
    b.inbox.until_numbers(10_000).await;
    a.inbox.until_numbers(10_000).await;
    assert!(b.inbox.numbers().into_iter().eq(0..10_000));
    assert!(a.inbox.numbers().into_iter().eq(0..10_000));
}

#[tokio::test]
async fn ten_thousand_frames_arrive_in_order_over_tcp() {
    let a = TestNode::bound("127.0.0.1:0", life(1), std::sync::Arc::new(Tcp)).await;
    let b = TestNode::bound("127.0.0.1:0", life(2), std::sync::Arc::new(Tcp)).await;
    a.count(&b, 0..10_000);
    b.inbox.until_numbers(10_000).await;
    assert!(b.inbox.numbers().into_iter().eq(0..10_000));
    b.count(&a, 0..3);
    a.inbox.until_numbers(3).await;
    b.links.shutdown().await;
    a.inbox.until_lost().await;
}

#[tokio::test(start_paused = true)]
async fn both_dial_at_once_and_nothing_is_lost_or_doubled() {
    let (_network, a, b) = pair().await;
    for round in 0..20 {
        a.count(&b, round * 50..(round + 1) * 50);
        b.count(&a, round * 50..(round + 1) * 50);
        yield_now().await;
    }
    a.inbox.until_numbers(1000).await;
    b.inbox.until_numbers(1000).await;
    assert!(a.inbox.numbers().into_iter().eq(0..1000));
    assert!(b.inbox.numbers().into_iter().eq(0..1000));
    advance(Duration::from_secs(30)).await;
    assert!(a.inbox.losses().is_empty() && b.inbox.losses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn connections_break_and_the_link_goes_on() {
    let (network, a, b) = pair().await;
    for round in 0..50 {
        a.count(&b, round * 40..(round + 1) * 40);
        b.count(&a, round * 40..(round + 1) * 40);
        for _ in 0..round % 7 {
            yield_now().await;
        }
        if round % 5 == 0 {
            advance(Duration::from_millis(130)).await;
        }
        network.reset(a.addr(), b.addr());
    }
    a.inbox.until_numbers(2000).await;
    b.inbox.until_numbers(2000).await;
    assert!(a.inbox.numbers().into_iter().eq(0..2000));
    assert!(b.inbox.numbers().into_iter().eq(0..2000));
    assert!(a.inbox.losses().is_empty() && b.inbox.losses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_delays_and_loses_nothing() {
    let (network, a, b) = pair().await;
    a.count(&b, 0..10);
    b.inbox.until_numbers(10).await;
    network.cut(a.addr(), b.addr());
    a.count(&b, 10..20);
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(8)).await;
    assert_eq!(b.inbox.numbers().len(), 10);
    network.join(a.addr(), b.addr());
    b.inbox.until_numbers(20).await;
    assert!(b.inbox.numbers().into_iter().eq(0..20));
    assert!(a.inbox.losses().is_empty() && b.inbox.losses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_waiting_senders_get_their_turn() {
    let network = MemoryNetwork::new();
    let config = LinkConfig {
        queue_bytes: 400,
        windows: [1, 1],
        ..life(1)
    };
    let a = TestNode::on(&network, "a:1", config).await;
    let patient = LinkConfig {
        hold: usize::MAX,
        ..life(2)
    };
    let b = TestNode::on(&network, "b:1", patient).await;
    b.inbox.block();
    let mut sent = 0;
    let refused = loop {
        match a.links.send(b.addr(), tell(sent)) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        yield_now().await;
    };
    assert_eq!(refused, Refused::Full);
    let waiting: Vec<_> = (sent..sent + 5)
        .map(|number| a.tell_wait(&b, "counter", number))
        .collect();
    b.inbox.unblock();
    for wait in waiting {
        within(wait).await.unwrap();
    }
    b.inbox.until_numbers(sent as usize + 5).await;
    assert!(b.inbox.numbers().into_iter().eq(0..sent + 5));
}

#[tokio::test(start_paused = true)]
async fn large_frames_pass_up_to_the_bound() {
    let network = MemoryNetwork::new();
    let config = LinkConfig {
        max_frame: 1 << 20,
        windows: [1 << 16, 1 << 16],
        ..life(1)
    };
    let a = TestNode::on(&network, "a:1", config.clone()).await;
    let b = TestNode::on(&network, "b:1", config).await;
    let large = tell_bytes(vec![7; (1 << 20) - 100]);
    for _ in 0..5 {
        a.links.send(b.addr(), large.clone()).unwrap();
    }
    b.inbox.until_numbers(5).await;
    let refused = a
        .links
        .send(b.addr(), tell_bytes(vec![7; 1 << 20]))
        .unwrap_err();
    assert!(matches!(refused, Refused::TooLarge { limit, .. } if limit == 1 << 20));
}

#[tokio::test(start_paused = true)]
async fn two_names_of_one_node_share_a_link() {
    let network = MemoryNetwork::new();
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let door = "b:1".parse().unwrap();
    let links = crate::links::Links::bind(
        &door,
        Some("b.example:1".parse().unwrap()),
        life(2),
        network.transport(),
    );
    let links = links.await.unwrap();
    let inbox = std::sync::Arc::new(Inbox::default());
    let inbound: std::sync::Weak<Inbox> = std::sync::Arc::downgrade(&inbox);
    links.serve(inbound);
    for number in 0..10 {
        a.links.send(&door, tell(number)).unwrap();
    }
    inbox.until_numbers(10).await;
    for number in 10..20 {
        let name = if number % 2 == 0 { &door } else { links.addr() };
        a.links.send(name, tell(number)).unwrap();
    }
    inbox.until_numbers(20).await;
    assert!(inbox.numbers().into_iter().eq(0..20));
    links.shutdown().await;
    a.inbox.until(|inbox| inbox.losses().len() == 2).await;
    let lost: Vec<_> = a
        .inbox
        .losses()
        .into_iter()
        .map(|(_, peer, _)| peer.addr)
        .collect();
    assert_eq!(lost, [door, links.addr().clone()]);
}
