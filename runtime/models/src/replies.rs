//! loom: the reply slot. The reply arrives, or that there is none, whoever goes away when; it is
//! dropped once.

use std::{sync::Arc, task::Poll};

use loom::{future::block_on, thread};

use crate::reply::slot;

#[test]
fn an_answer_wakes_the_asker() {
    loom::model(|| {
        let (answerer, asked) = slot();
        let answering = thread::spawn(move || answerer.answer(7));
        assert_eq!(block_on(asked), Some(7));
        assert_eq!(answering.join().unwrap(), None);
    });
}

#[test]
fn an_answerer_that_goes_away_wakes_the_asker() {
    loom::model(|| {
        let (answerer, asked) = slot::<u32>();
        let going = thread::spawn(move || drop(answerer));
        assert_eq!(block_on(asked), None);
        going.join().unwrap();
    });
}

#[test]
fn an_answer_without_an_asker_comes_back_or_is_dropped() {
    loom::model(|| {
        let counted = Arc::new(());
        let (answerer, mut asked) = slot();
        let reply = counted.clone();
        let answering = thread::spawn(move || drop(answerer.answer(reply)));
        if let Poll::Ready(reply) = asked.try_take() {
            assert!(reply.is_some());
        }
        drop(asked);
        answering.join().unwrap();
        assert_eq!(Arc::strong_count(&counted), 1);
    });
}

#[test]
fn an_asker_may_be_polled_by_one_waker_after_another() {
    loom::model(|| {
        let (answerer, mut asked) = slot();
        let answering = thread::spawn(move || answerer.answer(7));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(&mut asked).poll(&mut cx) {
            Poll::Ready(reply) => assert_eq!(reply, Some(7)),
            Poll::Pending => assert_eq!(block_on(asked), Some(7)),
        }
        answering.join().unwrap();
    });
}
