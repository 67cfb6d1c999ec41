//! Where the owner hangs up snapshots and readers take them, without either waiting for the other.
//!
//! ```text
//!   publish:  a place that is not current and that nobody reads at this moment --> write it --> current
//!   read:     current? --> copy the pointer --> still current? -no-> again (there is a newer one)
//! ```
//! A reader that is suspended with a place in its hands keeps that one place from being used. With all taken,
//! the owner leaves the snapshot out and makes one later. Safe code, unlike `arc-swap`, and small enough for loom.

use std::sync::Arc;

use super::sync::{AtomicUsize, Ordering, RwLock, pause};

/// Two are the least with which it works, and the most with which loom does not take for ever.
const PLACES: usize = if cfg!(loom) { 2 } else { 4 };

/// The newest of a row of values.
#[derive(Debug)]
pub struct Board<T> {
    places: [RwLock<Arc<T>>; PLACES],
    current: AtomicUsize,
}

impl<T> Board<T> {
    /// A board with a first value on it.
    pub fn new(value: T) -> Self {
        let value = Arc::new(value);
        Self {
            places: std::array::from_fn(|_| RwLock::new(value.clone())),
            current: AtomicUsize::new(0),
        }
    }

    /// Replaces the newest value. Only for the owner. False if readers hold all places: nothing has changed.
    pub fn publish(&self, value: T) -> bool {
        let mut value = Arc::new(value);
        let current = self.current.load(Ordering::Relaxed);
        for at in (1..PLACES).map(|ahead| (current + ahead) % PLACES) {
            if let Ok(mut place) = self.places[at].try_write() {
                std::mem::swap(&mut *place, &mut value);
                drop(place);
                self.current.store(at, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// The newest value; never an older one than the same thread has read before.
    pub fn read(&self) -> Arc<T> {
        loop {
            let at = self.current.load(Ordering::Acquire);
            let value = self.places[at].try_read().map(|place| place.clone());
            if let Ok(value) = value
                && self.current.load(Ordering::Acquire) == at
            {
                return value;
            }
            pause();
        }
    }
}
