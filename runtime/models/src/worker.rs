//! shuttle: a worker with an actor on it that is stopped, killed, blocked for a while and made anew,
//! while senders on other threads tell, wait for room and ask.
//!
//! The turn, mailbox, doorbell and reply slot are the runtime's own; only the actor is a simple one.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Context,
};

use shuttle::{
    future::{self, block_on},
    sync::Arc,
    thread,
};

use crate::{
    mailbox::{Mailbox, signal},
    place::Taken,
    queue::Rejected,
    reply::{Answerer, slot},
    round::{self, Ending, Handed, Life, Timers},
};

const SENDERS: usize = 3;
const MESSAGES: usize = 6;

enum Message {
    /// From whom, and its number.
    Tell(usize, usize),
    Ask(Answerer<usize>),
    /// Keeps everything else out, for a while or until a kill.
    Wait {
        forever: bool,
    },
    /// Ends a life; another begins.
    Crash,
}

#[derive(Default)]
struct Handled {
    next: [usize; SENDERS],
    count: usize,
    lives: usize,
}

/// How a life ended.
#[derive(PartialEq, Eq)]
enum End {
    Crashed,
    Stopped,
    AtOnce,
}

/// One life.
struct Simple<'a> {
    handled: &'a mut Handled,
    end: Option<End>,
    waits: Option<future::JoinHandle<()>>,
}

impl Life<Message> for Simple<'_> {
    type End = End;

    fn end_at_once(&mut self, _signals: u8) -> End {
        End::AtOnce
    }

    fn is_blocked(&mut self, cx: &mut Context<'_>) -> bool {
        let waits = self.waits.as_mut();
        let blocked = waits.is_some_and(|waits| Pin::new(waits).poll(cx).is_pending());
        if !blocked {
            self.waits = None;
        }
        blocked
    }

    fn stop(&mut self) {
        self.end = Some(End::Stopped);
    }

    fn receives(&mut self) -> bool {
        self.waits.is_none() && self.end.is_none()
    }

    fn timer(&mut self, _look: bool, _cx: &mut Context<'_>) -> Timers {
        Timers::Unasked
    }

    fn open(&mut self, message: Taken<'_, Message>) {
        self.handled.count += 1;
        match message.into_inner() {
            Message::Tell(from, n) => {
                assert!(n >= self.handled.next[from], "in order, and once");
                self.handled.next[from] = n + 1;
            }
            Message::Ask(answerer) => drop(answerer.answer(self.handled.count)),
            Message::Wait { forever } => {
                self.waits = Some(future::spawn(async move {
                    match forever {
                        true => std::future::pending().await,
                        false => future::yield_now().await,
                    }
                }));
            }
            Message::Crash => self.end = Some(End::Crashed),
        }
    }

    fn look_at_clock(&mut self) {}

    fn has_time(&mut self) -> bool {
        self.handled.count % 2 == 0
    }

    fn beside(&mut self, _handed: Handed, _cx: &mut Context<'_>) -> bool {
        false
    }

    fn ending(&mut self) -> Ending<End> {
        self.end.take().map_or(Ending::Lives, Ending::Ends)
    }
}

/// Runs the actor to its end, and returns what it did and how many messages it left.
async fn live(mailbox: Arc<Mailbox<Message>>) -> (Handled, usize) {
    let mut handled = Handled::default();
    loop {
        let mut life = Simple {
            handled: &mut handled,
            end: None,
            waits: None,
        };
        let end = poll_fn(|cx| {
            let mut receiving = mailbox.receive().expect("one receiver");
            round::turn(&mailbox, &mut receiving, &mut life, cx)
        });
        if end.await != End::Crashed {
            break;
        }
        handled.lives += 1;
    }
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
                        if n == 2 {
                            taken.fetch_add(
                                usize::from(
                                    push(&mailbox, Message::Wait { forever: false }).is_ok(),
                                ),
                                Ordering::SeqCst,
                            );
                        }
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
                        if end == signal::KILL {
                            let wait = Message::Wait { forever: true };
                            let sent = mailbox
                                .push_wait(wait, |message, place| place.fill(message))
                                .await;
                            taken.fetch_add(usize::from(sent.is_ok()), Ordering::SeqCst);
                        }
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
