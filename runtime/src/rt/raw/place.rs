//! Places: where a message is written, and where it is taken from, without a copy in between.

use std::{
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
};

/// Room for a `T` that is to be written.
pub(crate) struct Place<'a, T>(&'a mut MaybeUninit<T>);

/// Says that a place was filled. Whoever is handed one place and must return this can only fill it.
pub(crate) struct Filled(());

impl<'a, T> Place<'a, T> {
    #[inline]
    pub(crate) fn new(room: &'a mut MaybeUninit<T>) -> Self {
        Self(room)
    }

    /// Moves `value` there.
    #[inline]
    pub(crate) fn fill(self, value: T) -> Filled {
        self.0.write(value);
        Filled(())
    }

    /// Has `write` write it.
    ///
    /// # Safety
    /// `write` leaves a valid `T`.
    #[inline]
    pub(crate) unsafe fn fill_with(self, write: impl FnOnce(*mut T)) -> Filled {
        write(self.0.as_mut_ptr());
        Filled(())
    }
}

/// What `write` writes, by itself.
#[inline]
pub(crate) fn made<T>(write: impl FnOnce(Place<'_, T>) -> Filled) -> T {
    let mut room = MaybeUninit::uninit();
    let Filled(()) = write(Place(&mut room));
    // SAFETY: filled.
    unsafe { room.assume_init() }
}

/// Hands `value` to `take` as if it lay in a mailbox.
#[inline]
pub(crate) fn taken<T, R>(value: T, take: impl FnOnce(Taken<'_, T>) -> R) -> R {
    let mut value = ManuallyDrop::new(value);
    // SAFETY: valid, and neither used nor dropped after.
    take(unsafe { Taken::new(&raw mut *value) })
}

/// A value that lies where it was written, and belongs to the holder.
pub(crate) struct Taken<'a, T> {
    value: *mut T,
    owned: PhantomData<&'a mut T>,
}

impl<T> Taken<'_, T> {
    /// # Safety
    /// `value` is valid and nobody else uses it while the lifetime lasts, nor drops it.
    #[inline]
    pub(crate) unsafe fn new(value: *mut T) -> Self {
        let owned = PhantomData;
        Self { value, owned }
    }

    /// The value, moved out.
    #[inline]
    pub(crate) fn into_inner(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: valid and ours, and `this` neither uses nor drops it from here on.
        unsafe { this.value.read() }
    }

    /// Has `take` move out of the value, or drop it.
    ///
    /// # Safety
    /// `take` does one or the other, even when it panics.
    #[inline]
    pub(crate) unsafe fn take_with<R>(self, take: impl FnOnce(*mut T) -> R) -> R {
        let this = ManuallyDrop::new(self);
        take(this.value)
    }

    /// The value, where it lies.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        // SAFETY: valid and ours.
        unsafe { &*self.value }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        // SAFETY: valid and ours, and not used after.
        unsafe { self.value.drop_in_place() };
    }
}
