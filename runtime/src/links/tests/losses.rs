//! When a peer counts as lost, how, and how often that is said.

use std::time::Duration;

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{
    links::{LinkConfig, Loss, Refused, testing::*},
    transport::MemoryNetwork,
};

async fn pair() -> (MemoryNetwork, TestNode, TestNode) {
    let network = MemoryNetwork::new();
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    a.count(&b, 0..1);
    b.inbox.until_numbers(1).await;
    (network, a, b)
}

async fn pass(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

fn losses(node: &TestNode) -> Vec<Loss> {
    node.inbox
        .losses()
        .into_iter()
        .map(|(.., loss)| loss)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_a_node_that_is_down_and_the_queue_goes_first() {
    let (_network, a, b) = pair().await;
    b.count(&a, 0..1000);
    b.links.shutdown().await;
    a.inbox.until_lost().await;
    assert_eq!(losses(&a), [Loss::NodeDown]);
    assert_eq!(a.inbox.losses()[0].1, b.id(2));
    assert_eq!(a.inbox.numbers().len(), 1000);
    assert!(matches!(
        b.links.send(a.addr(), tell(0)),
        Err(Refused::Stopped)
    ));
    pass(Duration::from_secs(60)).await;
    assert_eq!(losses(&a), [Loss::NodeDown]);
    assert!(losses(&b).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_is_down_within_half_a_second() {
    let (_network, a, b) = pair().await;
    let (killed, id) = (Instant::now(), b.id(2));
    drop(b);
    a.inbox.until_lost().await;
    let (at, peer, loss) = a.inbox.losses().remove(0);
    assert_eq!((peer, loss), (id, Loss::NodeDown));
    assert!(
        at - killed < Duration::from_millis(500),
        "{:?}",
        at - killed
    );
    pass(Duration::from_secs(60)).await;
    assert_eq!(losses(&a).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_is_unreachable_once_on_both_sides() {
    let (network, a, b) = pair().await;
    pass(Duration::from_secs(20)).await;
    assert!(losses(&a).is_empty() && losses(&b).is_empty());
    let cut = Instant::now();
    network.cut(a.addr(), b.addr());
    a.links.send(b.addr(), tell(9)).unwrap();
    a.inbox.until_lost().await;
    b.inbox.until_lost().await;
    for node in [&a, &b] {
        assert_eq!(losses(node), [Loss::Unreachable]);
        let after = node.inbox.losses()[0].0 - cut;
        let about = Duration::from_secs(9)..=Duration::from_secs(10);
        assert!(about.contains(&after), "{after:?}");
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!((losses(&a).len(), losses(&b).len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_the_next_send_begins_anew() {
    let (network, a, b) = pair().await;
    network.cut(a.addr(), b.addr());
    a.inbox.until_lost().await;
    b.inbox.until_lost().await;
    network.join(a.addr(), b.addr());
    a.count(&b, 1..5);
    b.inbox.until_numbers(5).await;
    assert!(b.inbox.numbers().into_iter().eq(0..5));
    network.cut(a.addr(), b.addr());
    a.inbox.until(|inbox| inbox.losses().len() == 2).await;
    b.inbox.until(|inbox| inbox.losses().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_on_one_side_is_one_on_the_other() {
    let network = MemoryNetwork::new();
    let hasty = LinkConfig {
        lost_after: Duration::from_secs(3),
        ..life(1)
    };
    let a = TestNode::on(&network, "a:1", hasty).await;
    let b = TestNode::on(&network, "b:1", life(2)).await;
    a.count(&b, 0..1);
    b.inbox.until_numbers(1).await;
    network.cut(a.addr(), b.addr());
    a.inbox.until_lost().await;
    assert!(losses(&b).is_empty());
    network.join(a.addr(), b.addr());
    b.inbox.until_lost().await;
    a.count(&b, 1..2);
    b.inbox.until_numbers(2).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(losses(&a), [Loss::Unreachable]);
    assert_eq!(losses(&b), [Loss::Unreachable]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_is_another_and_the_queue_goes_to_it() {
    let (network, a, b) = pair().await;
    let id = b.id(2);
    drop(b);
    yield_now().await;
    let b = TestNode::on(&network, "b:1", life(3)).await;
    a.count(&b, 1..4);
    b.inbox.until_numbers(3).await;
    assert_eq!(losses(&a), [Loss::NodeDown]);
    assert_eq!(a.inbox.losses()[0].1, id);
    b.count(&a, 0..1);
    a.inbox.until_numbers(1).await;
    drop(b);
    a.inbox.until(|inbox| inbox.losses().len() == 2).await;
    assert_eq!(a.inbox.losses()[1].1.incarnation, 3);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_comes_back_with_the_reason() {
    let network = MemoryNetwork::new();
    let a = TestNode::on(&network, "a:1", life(1)).await;
    let nobody = "b:1".parse().unwrap();
    for number in 0..3 {
        a.links.send(&nobody, tell(number)).unwrap();
    }
    a.inbox.until(|inbox| inbox.undelivered().len() == 3).await;
    let problem = "cannot connect to b:1: connection refused".to_owned();
    let expected = (0..3).map(|number| (tell(number), Loss::NodeDown, problem.clone()));
    assert!(a.inbox.undelivered().into_iter().eq(expected));
    assert!(losses(&a).is_empty());
    network.cut(a.addr(), &nobody);
    a.links.send(&nobody, tell(3)).unwrap();
    a.inbox.until(|inbox| inbox.undelivered().len() == 4).await;
    let (_, loss, problem) = a.inbox.undelivered().remove(3);
    assert_eq!(loss, Loss::Unreachable);
    assert_eq!(problem, "cannot connect to b:1: no answer within 3s");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_read_is_not_lost() {
    let (_network, a, b) = pair().await;
    b.inbox.block();
    a.count(&b, 1..20_000);
    pass(Duration::from_secs(120)).await;
    assert!(losses(&a).is_empty() && losses(&b).is_empty());
    b.inbox.unblock();
    b.inbox.until_numbers(20_000).await;
    assert!(b.inbox.numbers().into_iter().eq(0..20_000));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_reader_does_not_keep_a_dead_peer_alive() {
    let (network, a, b) = pair().await;
    a.inbox.block();
    b.count(&a, 0..10);
    a.inbox.until_numbers(1).await;
    drop(b);
    yield_now().await;
    let _b = TestNode::on(&network, "b:1", life(3)).await;
    a.links.send(_b.addr(), tell(1)).unwrap();
    pass(Duration::from_secs(1)).await;
    a.inbox.unblock();
    a.inbox.until_lost().await;
    assert_eq!(losses(&a), [Loss::NodeDown]);
}
