//! loom: the mailbox. Nothing is lost or doubled, order is kept per sender, the bound holds, close
//! is final, and a sleeping receiver is woken for whatever came.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use loom::{future::block_on, model::Builder, sync::Arc, thread};

use crate::{
    mailbox::{Mailbox, signal},
    queue::Rejected,
};

/// All schedules with at most this many preemptions.
fn model(preemptions: usize, case: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(case);
}

fn push(mailbox: &Mailbox<u32>, message: u32) -> Result<(), Rejected<u32>> {
    mailbox.push_with(message, |message, place| place.fill(message))
}

/// The next message or signal, asleep until there is one.
fn next(mailbox: &Mailbox<u32>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
    let mut receiving = mailbox.receive().expect("one receiver");
    loop {
        if mailbox.signals() & signal::KILL != 0 {
            return Poll::Ready(None);
        }
        let message = receiving.pop_system().or_else(|| receiving.pop());
        if message.is_some() {
            return Poll::Ready(message);
        }
        if receiving.sleep(cx.waker()) {
            return Poll::Pending;
        }
        thread::yield_now();
    }
}

fn receive(mailbox: &Mailbox<u32>, count: usize) -> Vec<u32> {
    let message = || block_on(poll_fn(|cx| next(mailbox, cx)));
    (0..count).map_while(|_| message()).collect()
}

#[test]
fn a_sleeping_receiver_gets_what_two_senders_push() {
    model(1, || {
        let mailbox = Arc::new(Mailbox::new(8, false));
        let senders = [vec![10], vec![20]].map(|messages| {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                for message in messages {
                    push(&mailbox, message).unwrap();
                }
            })
        });
        let mut got = receive(&mailbox, 2);
        got.sort_unstable();
        assert_eq!(got, [10, 20]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn one_senders_messages_keep_their_order_across_blocks() {
    model(2, || {
        let mailbox = Arc::new(Mailbox::new(8, false));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                for message in 0..3 {
                    push(&mailbox, message).unwrap();
                }
            })
        };
        assert_eq!(receive(&mailbox, 3), [0, 1, 2]);
        sender.join().unwrap();
    });
}

#[test]
fn the_bound_holds_and_room_is_given_back() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::new(1, false));
        push(&mailbox, 1).unwrap();
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || push(&mailbox, 2).is_ok())
        };
        let mut receiving = mailbox.receive().unwrap();
        assert_eq!(receiving.pop(), Some(1));
        let taken = sender.join().unwrap();
        assert_eq!(receiving.pop(), taken.then_some(2));
        assert!(push(&mailbox, 3).is_ok(), "there is room for one again");
        assert_eq!(push(&mailbox, 4), Err(Rejected::Full(4)));
    });
}

#[test]
fn what_is_taken_before_the_close_is_there_after_it() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::new(8, false));
        let senders = [1, 2].map(|message| {
            let mailbox = mailbox.clone();
            thread::spawn(move || push(&mailbox, message).is_ok())
        });
        mailbox.close();
        let mut receiving = mailbox.receive().unwrap();
        let mut got = Vec::new();
        while let Some(message) = receiving.pop() {
            got.push(message);
        }
        let taken = senders.map(|sender| sender.join().unwrap());
        assert_eq!(got.len(), taken.iter().filter(|taken| **taken).count());
        assert_eq!(receiving.pop(), None, "nothing comes after the close");
    });
}

#[test]
fn notices_and_signals_wake_too() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::new(8, false));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                push(&mailbox, 1).unwrap();
                assert!(mailbox.push_system(2));
                mailbox.signal(signal::KILL);
            })
        };
        let got = receive(&mailbox, 9);
        assert!(got.len() <= 2, "{got:?}");
        sender.join().unwrap();
    });
}

#[test]
fn a_receiver_that_is_deaf_hears_a_signal() {
    model(3, || {
        let mailbox = Arc::new(Mailbox::new(8, false));
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                push(&mailbox, 1).unwrap();
                mailbox.signal(signal::KILL);
            })
        };
        block_on(poll_fn(|cx| {
            let mut receiving = mailbox.receive().unwrap();
            loop {
                if mailbox.signals() & signal::KILL != 0 {
                    return Poll::Ready(());
                }
                if receiving.sleep_deaf(cx.waker()) {
                    return Poll::Pending;
                }
                thread::yield_now();
            }
        }));
        sender.join().unwrap();
    });
}

#[test]
fn what_nobody_received_is_dropped_once() {
    model(3, || {
        let counted = std::sync::Arc::new(());
        let mailbox = Arc::new(Mailbox::new(8, false));
        let sender = {
            let (mailbox, counted) = (mailbox.clone(), counted.clone());
            thread::spawn(move || {
                for _ in 0..3 {
                    let _ =
                        mailbox.push_with(counted.clone(), |message, place| place.fill(message));
                }
                mailbox.push_system(counted.clone());
            })
        };
        mailbox.close();
        drop(mailbox.receive().unwrap().pop());
        sender.join().unwrap();
        drop(mailbox);
        assert_eq!(std::sync::Arc::strong_count(&counted), 1);
    });
}
