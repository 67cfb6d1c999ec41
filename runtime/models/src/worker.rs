//! shuttle: a worker with an actor on it that is stopped, killed and made anew while senders on
//! other threads tell, wait for room and ask.
//!
//! The turn below is the runtime's without actix: signals first, then notices, then messages up to
//! a budget, then sleep. Mailbox, doorbell and reply slot are the real ones.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use shuttle::{
    future::{self, block_on},
    sync::Arc,
    thread,
};

use crate::{
    mailbox::{Mailbox, signal},
    queue::Rejected,
    reply::{Answerer, slot},
};

const SENDERS: usize = 3;
const MESSAGES: usize = 6;
const BUDGET: usize = 2;

enum Message {
    /// From whom, and its number.
    Tell(usize, usize),
    Ask(Answerer<usize>),
    /// Ends a life; another begins.
    Crash,
}

#[derive(Default)]
struct Handled {
    next: [usize; SENDERS],
    count: usize,
    lives: usize,
}

/// One turn; ready at the actor's end.
fn turn(mailbox: &Mailbox<Message>, handled: &mut Handled, cx: &mut Context<'_>) -> Poll<()> {
    let mut receiving = mailbox.receive().expect("one receiver");
    let mut left = BUDGET;
    loop {
        if mailbox.signals() & (signal::STOP | signal::KILL) != 0 {
            return Poll::Ready(());
        }
        if left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match receiving.pop_system().or_else(|| receiving.pop()) {
            Some(message) => {
                left -= 1;
                handled.count += 1;
                match message {
                    Message::Tell(from, n) => {
                        assert!(n >= handled.next[from], "in order, and once");
                        handled.next[from] = n + 1;
                    }
                    Message::Ask(answerer) => drop(answerer.answer(handled.count)),
                    Message::Crash => {
                        handled.lives += 1;
                        // The turn is over, as with a panic; the next life goes on with the rest.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
            None if receiving.sleep(cx.waker()) => return Poll::Pending,
            None => {}
        }
    }
}

/// Runs the actor to its end, and returns what it did and how many messages it left.
async fn live(mailbox: Arc<Mailbox<Message>>) -> (Handled, usize) {
    let mut handled = Handled::default();
    poll_fn(|cx| turn(&mailbox, &mut handled, cx)).await;
    mailbox.close();
    let mut receiving = mailbox.receive().expect("the turn is over");
    let mut lost = 0;
    while receiving.pop().is_some() {
        lost += 1;
    }
    while receiving.pop_system().is_some() {}
    receiving.forget_waker();
    (handled, lost)
}

fn push(mailbox: &Mailbox<Message>, message: Message) -> Result<(), Rejected<Message>> {
    mailbox.push_with(message, |message, place| place.fill(message))
}

fn world(end: u8) {
    let mailbox = Arc::new(Mailbox::new(3, false));
    let taken = Arc::new(AtomicUsize::new(0));
    let actor = {
        let mailbox = mailbox.clone();
        thread::spawn(move || block_on(live(mailbox)))
    };
    let senders: Vec<_> = (0..SENDERS)
        .map(|from| {
            let (mailbox, taken) = (mailbox.clone(), taken.clone());
            thread::spawn(move || {
                block_on(async move {
                    for n in 0..MESSAGES {
                        let message = Message::Tell(from, n);
                        let sent = match n % 2 {
                            0 => {
                                mailbox
                                    .push_wait(message, |message, place| place.fill(message))
                                    .await
                            }
                            _ => push(&mailbox, message),
                        };
                        taken.fetch_add(usize::from(sent.is_ok()), Ordering::SeqCst);
                    }
                    let (answerer, asked) = slot();
                    let asking = Message::Ask(answerer);
                    let sent = mailbox
                        .push_wait(asking, |message, place| place.fill(message))
                        .await
                        .is_ok();
                    taken.fetch_add(usize::from(sent), Ordering::SeqCst);
                    let answer = asked.await;
                    assert!(sent || answer.is_none());
                    if from == 0 {
                        let sent = mailbox
                            .push_wait(Message::Crash, |message, place| place.fill(message))
                            .await;
                        taken.fetch_add(usize::from(sent.is_ok()), Ordering::SeqCst);
                        future::yield_now().await;
                        mailbox.signal(end);
                    }
                });
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("a sender always gets on");
    }
    let (handled, lost) = actor.join().expect("the actor ends");
    assert_eq!(
        handled.count + lost,
        taken.load(Ordering::SeqCst),
        "none lost, none doubled"
    );
    assert!(handled.lives <= 1);
}

/// Schedules to try; `TEPUI_SCHEDULES=n` for more.
fn schedules() -> usize {
    let given = std::env::var("TEPUI_SCHEDULES").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(2000)
}

#[test]
fn a_stop_ends_the_actor_and_nobody_hangs() {
    shuttle::check_random(|| world(signal::STOP), schedules());
}

#[test]
fn a_kill_ends_the_actor_and_nobody_hangs() {
    // Not PCT: it never lets the sender on for which the receiver waits in the middle of a push.
    shuttle::check_random(|| world(signal::KILL), schedules());
}

/// Not in loom, which does not get on with the lock that evicting senders and the receiver share.
fn evicting() {
    let mailbox = Arc::new(Mailbox::new(2, true));
    let got = Arc::new(shuttle::sync::Mutex::new(Vec::new()));
    let senders: Vec<_> = (0..SENDERS)
        .map(|from| {
            let (mailbox, got) = (mailbox.clone(), got.clone());
            thread::spawn(move || {
                for n in 0..MESSAGES {
                    let mut message = from * MESSAGES + n;
                    while let Err(full) =
                        mailbox.push_with(message, |message, place| place.fill(message))
                    {
                        let Rejected::Full(back) = full else {
                            panic!("not closed")
                        };
                        message = back;
                        got.lock().unwrap().extend(mailbox.evict());
                    }
                }
            })
        })
        .collect();
    let receive = |mailbox: &Mailbox<usize>| {
        let mut receiving = mailbox.receive().expect("one receiver");
        while let Some(message) = receiving.pop() {
            got.lock().unwrap().push(message);
        }
    };
    receive(&mailbox);
    for sender in senders {
        sender.join().expect("a sender gets on");
    }
    receive(&mailbox);
    let mut got = std::mem::take(&mut *got.lock().unwrap());
    got.sort_unstable();
    assert_eq!(
        got,
        (0..SENDERS * MESSAGES).collect::<Vec<_>>(),
        "each once"
    );
}

#[test]
fn senders_that_evict_and_the_receiver_get_each_message_once() {
    shuttle::check_random(evicting, schedules());
}
