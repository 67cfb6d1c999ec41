//! The seam between the runtime's lock-free files and what they run on: the standard library, or,
//! in the models, loom (`--cfg loom`) or shuttle (`--cfg shuttle`), which try out schedules.
//!
//! A lock-free file takes its atomics, locks and cells from here and nothing from `std::sync`; then
//! `runtime/models` can compile it by path and explore it (`make loom`, `make shuttle`). Capacities
//! that a model must keep tiny are constants with a smaller value under `cfg(loom)`.

#![allow(
    unused_imports,
    dead_code,
    reason = "the same names in every build, whether or not it uses all of them"
)]

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    hint,
    sync::{Arc, Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::{
    hint,
    sync::{Arc, Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{
    hint,
    sync::{Arc, Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(not(loom))]
pub(crate) use self::cell::UnsafeCell;

#[cfg(not(loom))]
mod cell {
    /// The standard library's cell with loom's interface.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer to read from.
        #[inline]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer to write to.
        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// Waits a moment for another thread that is in the middle of a step.
#[inline]
pub(crate) fn pause(round: u32) {
    #[cfg(any(loom, shuttle))]
    {
        let _ = round;
        thread::yield_now();
    }
    #[cfg(not(any(loom, shuttle)))]
    if round < 6 {
        for _ in 0..1 << round {
            hint::spin_loop();
        }
    } else {
        thread::yield_now();
    }
}

/// Orders a store before it and a load after it, where the accesses themselves are sequentially
/// consistent. loom does not model that of accesses, only of fences.
#[inline]
pub(crate) fn sequenced() {
    #[cfg(loom)]
    atomic::fence(atomic::Ordering::SeqCst);
}
