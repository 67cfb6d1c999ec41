//! Spinning: a worker that has run out of work looks out for more before it sleeps.
//!
//! ```text
//!   about to sleep ---- has it worked since it last looked out? --no--> it sleeps
//!        ^                         | yes
//!        |                         v
//!        +--- nothing came --- looks out: asks the operating system for events, without waiting
//! ```
//! What comes meanwhile needs no wake-up, which is most of the latency between two idle machines. The
//! price is CPU time: each time a worker runs out of work it burns the time that it looks out.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{task::yield_now, time::Instant};

/// What the hook and the task of a worker share.
struct Lookout {
    /// How often the thread did something for somebody.
    worked: Cell<u64>,
    /// The same when it last looked out in vain.
    in_vain: Cell<u64>,
    asked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

thread_local! {
    static LOOKOUT: Lookout = const {
        Lookout {
            worked: Cell::new(0),
            in_vain: Cell::new(0),
            asked: Cell::new(false),
            waker: RefCell::new(None),
        }
    };
}

/// This thread does something for somebody.
#[inline]
pub(crate) fn worked() {
    LOOKOUT.with(|lookout| lookout.worked.set(lookout.worked.get().wrapping_add(1)));
}

/// The thread is about to sleep: has it look out first if it has worked.
pub(super) fn before_sleep() {
    LOOKOUT.with(|lookout| {
        if lookout.worked.get() != lookout.in_vain.get()
            && let Some(waker) = lookout.waker.take()
        {
            lookout.asked.set(true);
            waker.wake();
        }
    });
}

/// Looks out for `patience` whenever the thread is about to sleep. One task of each worker.
pub(super) async fn look_out(patience: Duration) {
    loop {
        poll_fn(asked).await;
        let count = || LOOKOUT.with(|lookout| lookout.worked.get());
        let (mut seen, mut since) = (count(), Instant::now());
        while since.elapsed() < patience {
            yield_now().await;
            if count() != seen {
                (seen, since) = (count(), Instant::now());
            }
        }
        LOOKOUT.with(|lookout| lookout.in_vain.set(seen));
    }
}

fn asked(cx: &mut Context<'_>) -> Poll<()> {
    LOOKOUT.with(|lookout| {
        if lookout.asked.take() {
            return Poll::Ready(());
        }
        *lookout.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixStream,
        sync::{
            Arc, Mutex,
            atomic::{AtomicU32, Ordering},
        },
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        runtime::Builder,
    };

    use super::*;

    /// Who answers a byte with a byte.
    #[derive(Clone, Copy, PartialEq)]
    enum Answers {
        /// Another thread, at once.
        AtOnce,
        /// Nobody before the thread sleeps.
        InItsSleep,
    }

    /// How often a thread sleeps that does `jobs` things one after the other.
    fn sleeps(jobs: u32, patience: Duration, answers: Answers) -> u32 {
        use std::io::{Read, Write};
        let sleeps = Arc::new(AtomicU32::new(0));
        let counted = sleeps.clone();
        let (here, mut there) = UnixStream::pair().unwrap();
        let answer = Mutex::new(there.try_clone().unwrap());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                before_sleep();
                if LOOKOUT.with(|lookout| lookout.asked.get()) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                if answers == Answers::InItsSleep {
                    answer.lock().unwrap().write_all(&[1]).unwrap();
                }
            })
            .build()
            .unwrap();
        let other = std::thread::spawn(move || {
            let mut byte = [0];
            while there.read_exact(&mut byte).is_ok() {
                if answers == Answers::AtOnce && there.write_all(&byte).is_err() {
                    break;
                }
            }
        });
        runtime.block_on(async {
            here.set_nonblocking(true).unwrap();
            let mut here = tokio::net::UnixStream::from_std(here).unwrap();
            let task = runtime.spawn(look_out(patience));
            for _ in 0..jobs {
                worked();
                here.write_all(&[1]).await.unwrap();
                here.read_exact(&mut [0]).await.unwrap();
            }
            task.abort();
        });
        drop(runtime);
        other.join().unwrap();
        sleeps.load(Ordering::Relaxed)
    }

    #[test]
    fn who_looks_out_for_long_enough_does_not_sleep_between_two_things() {
        assert_eq!(sleeps(50, Duration::from_secs(60), Answers::AtOnce), 0);
    }

    #[test]
    fn who_has_looked_out_in_vain_sleeps() {
        assert_eq!(sleeps(50, Duration::ZERO, Answers::InItsSleep), 50);
    }
}
