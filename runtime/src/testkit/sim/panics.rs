//! Panics of simulated actors: the runtime survives them, a simulation must not pass over them.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Records the panics of all threads from now on, each for its own thread.
pub(super) fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string().replace('\n', " ")));
            before(info);
        }));
    });
    PANICS.take();
}

/// What was recorded for this thread, and forgets it.
pub(super) fn take() -> Vec<String> {
    PANICS.take()
}
