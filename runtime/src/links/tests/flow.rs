//! Full actors, large messages, and peers that speak an older version.

use tokio::task::yield_now;

use crate::{
    frame::Preamble,
    links::{LinkConfig, Refused, testing::*},
    transport::MemoryNetwork,
};

const LARGE: usize = 200 * 1024;

/// Two nodes that hold an actor soon, and have little credit for large messages.
async fn pair() -> (MemoryNetwork, TestNode, TestNode) {
    let network = MemoryNetwork::new();
    let config = |incarnation| LinkConfig {
        hold: 4096,
        windows: [64 * 1024, 64 * 1024],
        ..life(incarnation)
    };
    let a = TestNode::on(&network, "a:1", config(1)).await;
    let b = TestNode::on(&network, "b:1", config(2)).await;
    (network, a, b)
}

#[tokio::test(start_paused = true)]
async fn a_full_actor_holds_its_own_senders_and_others_pass() {
    let (_network, a, b) = pair().await;
    b.inbox.block_only("slow");
    let mut sent = 0;
    let refused = loop {
        match a.tell_to(&b, "slow", sent, 100) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        yield_now().await;
    };
    assert_eq!(refused, Refused::Held);
    assert!((10..200).contains(&sent), "{sent} sent before it was held");
    for number in 0..5000 {
        a.tell_to(&b, "quick", number, 100).unwrap();
        if number % 100 == 0 {
            let quick = |inbox: &Inbox| inbox.messages_to("quick").len() as u64 > number;
            b.inbox.until(quick).await;
        }
    }
    let waiting = a.tell_wait(&b, "slow", sent);
    b.inbox.unblock();
    within(waiting).await.unwrap();
    let all = |inbox: &Inbox| inbox.messages_to("slow").len() as u64 > sent;
    b.inbox.until(all).await;
    let slow = b.inbox.messages_to("slow").into_iter().map(|(n, _)| n);
    assert!(slow.eq(0..=sent));
}

#[tokio::test(start_paused = true)]
async fn a_held_actor_is_told_again_on_another_connection() {
    let (network, a, b) = pair().await;
    b.inbox.block_only("slow");
    let mut sent = 0;
    while a.tell_to(&b, "slow", sent, 100).is_ok() {
        sent += 1;
        yield_now().await;
    }
    network.reset(a.addr(), b.addr());
    a.tell_to(&b, "quick", 0, 8).unwrap();
    let quick = |inbox: &Inbox| !inbox.messages_to("quick").is_empty();
    b.inbox.until(quick).await;
    for _ in 0..20 {
        yield_now().await;
    }
    assert_eq!(a.tell_to(&b, "slow", sent, 100), Err(Refused::Held));
    let waiting = a.tell_wait(&b, "slow", sent);
    b.inbox.unblock();
    within(waiting).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_message_keeps_its_place_and_messages_to_others_pass_it() {
    let (_network, a, b) = pair().await;
    a.tell_to(&b, "other", 0, 8).unwrap();
    let other = |inbox: &Inbox| !inbox.messages_to("other").is_empty();
    b.inbox.until(other).await;
    a.tell_to(&b, "taker", 1, 8).unwrap();
    a.tell_to(&b, "taker", 2, LARGE).unwrap();
    a.tell_to(&b, "taker", 3, 8).unwrap();
    a.tell_to(&b, "other", 4, 8).unwrap();
    b.inbox.until_numbers(5).await;
    assert_eq!(b.inbox.messages_to("taker"), [(1, 8), (2, LARGE), (3, 8)]);
    let order = b.inbox.numbers();
    let at = |number| order.iter().position(|n| *n == number);
    assert!(at(4) < at(2), "4 to another actor passes 2: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn large_messages_survive_broken_connections_once_and_in_order() {
    let network = MemoryNetwork::new();
    let config = |incarnation| LinkConfig {
        windows: [64 * 1024, 64 * 1024],
        ..life(incarnation)
    };
    let a = TestNode::on(&network, "a:1", config(1)).await;
    let b = TestNode::on(&network, "b:1", config(2)).await;
    for round in 0..30 {
        for (from, to) in [(&a, &b), (&b, &a)] {
            from.tell_to(to, "taker", 3 * round, 8).unwrap();
            from.tell_to(to, "taker", 3 * round + 1, LARGE).unwrap();
            from.tell_to(to, "taker", 3 * round + 2, 8).unwrap();
        }
        for _ in 0..(round % 13) * 3 {
            yield_now().await;
        }
        if round % 3 == 0 {
            network.reset(a.addr(), b.addr());
        }
        if round % 4 == 0 {
            tokio::time::advance(std::time::Duration::from_millis(150)).await;
        }
    }
    for node in [&a, &b] {
        node.inbox.until_numbers(90).await;
        assert!(node.inbox.numbers().into_iter().eq(0..90));
        assert!(node.inbox.losses().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_written_goes_to_the_next_life_with_large_messages_in_place() {
    let network = MemoryNetwork::new();
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    a.tell_to(&b, "taker", 0, 8).unwrap();
    b.inbox.until_numbers(1).await;
    drop(b);
    yield_now().await;
    let b = TestNode::on(&network, "b:1", life(3)).await;
    a.tell_to(&b, "taker", 1, LARGE).unwrap();
    a.tell_to(&b, "taker", 2, 8).unwrap();
    a.tell_to(&b, "other", 3, 8).unwrap();
    b.inbox
        .until(|inbox| inbox.messages_to("taker").len() == 2)
        .await;
    assert_eq!(b.inbox.messages_to("taker"), [(1, LARGE), (2, 8)]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_version_1_is_served_in_both_directions() {
    let network = MemoryNetwork::new();
    let old = LinkConfig {
        versions: Preamble { min: 1, max: 1 },
        ..life(2)
    };
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let b = TestNode::on(&network, "b:1", old).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        for number in 0..100 {
            let bytes = if number % 10 == 0 { LARGE } else { 8 };
            from.tell_to(to, "taker", number, bytes).unwrap();
        }
        to.inbox.until_numbers(100).await;
        assert!(to.inbox.numbers().into_iter().eq(0..100));
    }
    network.reset(a.addr(), b.addr());
    a.tell_to(&b, "taker", 100, 8).unwrap();
    b.inbox.until_numbers(101).await;
    let connections = a.links.0.core.next_connection() - 1;
    assert!(
        connections <= 3,
        "no connection for large messages: {connections}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_waits_for_what_is_parked_and_a_death_drops_it() {
    let (_network, a, b) = pair().await;
    b.inbox.block_only("slow");
    for number in 0..10 {
        a.tell_to(&b, "slow", number, 8).unwrap();
    }
    b.inbox.until_numbers(1).await;
    a.links.shutdown().await;
    assert!(b.inbox.losses().is_empty());
    b.inbox.unblock();
    b.inbox.until_lost().await;
    assert!(b.inbox.numbers().into_iter().eq(0..10));
    assert_eq!(b.inbox.dropped(), 0);

    let (_network, a, b) = pair().await;
    b.inbox.block_only("slow");
    for number in 0..10 {
        a.tell_to(&b, "slow", number, 8).unwrap();
    }
    b.inbox.until_numbers(1).await;
    drop(a);
    b.inbox.until_lost().await;
    b.inbox.unblock();
    assert_eq!((b.inbox.numbers().len(), b.inbox.dropped()), (1, 9));
}

#[tokio::test(start_paused = true)]
async fn memory_for_a_peer_that_is_cut_off_is_bounded() {
    let network = MemoryNetwork::new();
    let config = LinkConfig {
        queue_bytes: 100_000,
        windows: [50_000, 50_000],
        ..life(1)
    };
    let a = TestNode::on(&network, "a:1", config).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    a.tell_to(&b, "taker", 0, 8).unwrap();
    b.inbox.until_numbers(1).await;
    network.cut(a.addr(), b.addr());
    let mut sent = 0;
    while a.tell_to(&b, "taker", sent, 1000).is_ok() {
        sent += 1;
        yield_now().await;
    }
    // What waits, what is under way, and what was sealed beyond the credit.
    assert!((100..230).contains(&sent), "{sent} kilobytes");
}
