//! Envelopes: a message on its way into a mailbox, stored in place where it is small.
//!
//! An envelope is six words and a static table of functions, one for each kind of contents. What
//! does not fit in six words is boxed. Nothing else is allocated for a message.

use std::{
    marker::PhantomData,
    mem::{MaybeUninit, align_of, size_of},
};

use super::place::{Filled, Place, Taken};

/// What an envelope holds: it is opened once, or dropped.
pub(crate) trait Contents<T: ?Sized>: Send + 'static {
    /// The message's name on the wire.
    const NAME: &'static str;

    /// Hands the contents over.
    fn open(self, to: &mut T);

    /// The message as it travels, unless it cannot; for traces.
    fn body(&self) -> Option<Vec<u8>>;
}

type Words = [MaybeUninit<usize>; 6];

struct Table<T: ?Sized> {
    name: &'static str,
    /// Moves the contents out and hands them over.
    open: unsafe fn(*mut Words, &mut T),
    #[cfg_attr(not(feature = "testkit"), expect(dead_code, reason = "for traces"))]
    body: unsafe fn(*const Words) -> Option<Vec<u8>>,
    drop: unsafe fn(*mut Words),
}

/// Contents for a `T` to open.
pub(crate) struct Envelope<T: ?Sized + 'static> {
    table: &'static Table<T>,
    words: Words,
    opens: PhantomData<fn(&mut T)>,
}

// SAFETY: contents are `Send`, and nothing but them is in an envelope.
unsafe impl<T: ?Sized> Send for Envelope<T> {}

/// The functions for contents `C` that lie in the words themselves.
struct InPlace<C>(PhantomData<C>);

impl<C> InPlace<C> {
    const FITS: bool =
        size_of::<C>() <= size_of::<Words>() && align_of::<C>() <= align_of::<Words>();

    fn table<T: ?Sized>() -> &'static Table<T>
    where
        C: Contents<T>,
    {
        const {
            &Table {
                name: C::NAME,
                // SAFETY: the words hold a `C`, put there by `Envelope::new`, which is not used
                // again after `open` or `drop`.
                open: |words, to| unsafe { words.cast::<C>().read() }.open(to),
                // SAFETY: as above.
                body: |words| unsafe { &*words.cast::<C>() }.body(),
                // SAFETY: as above.
                drop: |words| unsafe { words.cast::<C>().drop_in_place() },
            }
        }
    }
}

impl<T: ?Sized + 'static> Envelope<T> {
    /// Writes an envelope with these contents.
    #[inline]
    pub(crate) fn seal<C: Contents<T>>(contents: C, place: Place<'_, Self>) -> Filled {
        if InPlace::<C>::FITS {
            Self::write(contents, place)
        } else {
            Self::write(Box::new(contents), place)
        }
    }

    #[inline]
    fn write<C: Contents<T>>(contents: C, place: Place<'_, Self>) -> Filled {
        assert!(InPlace::<C>::FITS, "the contents fit");
        // SAFETY: the table is set, and the contents fit in the words, in size and alignment; what
        // they leave may stay uninitialised.
        unsafe {
            place.fill_with(|envelope| {
                (&raw mut (*envelope).table).write(InPlace::<C>::table());
                (&raw mut (*envelope).words).cast::<C>().write(contents);
            })
        }
    }

    /// Hands the contents of an envelope over, from where it lies.
    #[inline]
    pub(crate) fn open(envelope: Taken<'_, Self>, to: &mut T) {
        // SAFETY: the function moves the contents out before anything else, and the table needs no
        // drop.
        unsafe {
            envelope.take_with(|envelope| ((*envelope).table.open)(&raw mut (*envelope).words, to));
        }
    }

    /// The message's name on the wire.
    pub(crate) fn name(&self) -> &'static str {
        self.table.name
    }

    /// The message as it travels, unless it cannot.
    #[cfg(feature = "testkit")]
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        // SAFETY: neither opened nor dropped.
        unsafe { (self.table.body)(&self.words) }
    }
}

impl<T: ?Sized> Drop for Envelope<T> {
    fn drop(&mut self) {
        // SAFETY: not opened, and not used after.
        unsafe { (self.table.drop)(&raw mut self.words) }
    }
}

impl<T: ?Sized, C: Contents<T>> Contents<T> for Box<C> {
    const NAME: &'static str = C::NAME;

    fn open(self, to: &mut T) {
        C::open(*self, to);
    }

    fn body(&self) -> Option<Vec<u8>> {
        C::body(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rt::raw::place::{made, taken};

    fn open(contents: impl Contents<u64>, to: &mut u64) {
        taken(sealed(contents), |envelope| Envelope::open(envelope, to));
    }

    fn sealed(contents: impl Contents<u64>) -> Envelope<u64> {
        made(|place| Envelope::seal(contents, place))
    }

    struct Kept<const N: usize>(
        #[expect(dead_code, reason = "its count is looked at")] Arc<()>,
        [u64; N],
    );

    impl<const N: usize> Contents<u64> for Kept<N> {
        const NAME: &'static str = "kept";

        fn open(self, to: &mut u64) {
            *to += self.1.iter().sum::<u64>();
        }

        fn body(&self) -> Option<Vec<u8>> {
            Some(vec![N as u8])
        }
    }

    #[repr(align(32))]
    struct Aligned(u64);

    impl Contents<u64> for Aligned {
        const NAME: &'static str = "aligned";

        fn open(self, to: &mut u64) {
            assert_eq!((&raw const self).addr() % 32, 0);
            *to += self.0;
        }

        fn body(&self) -> Option<Vec<u8>> {
            None
        }
    }

    #[test]
    fn small_and_large_contents_are_opened_once_or_dropped() {
        let (kept, mut sum) = (Arc::new(()), 0);
        open(Kept(kept.clone(), [1, 2, 3, 4, 5]), &mut sum);
        open(Kept(kept.clone(), [10; 30]), &mut sum);
        assert_eq!(sum, 315);
        let large = sealed(Kept(kept.clone(), [1; 6]));
        assert_eq!((large.name(), large.body()), ("kept", Some(vec![6])));
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(large);
        drop(sealed(Kept(kept.clone(), [])));
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn contents_of_another_alignment_are_boxed() {
        let mut sum = 0;
        open(Aligned(7), &mut sum);
        assert_eq!(sum, 7);
        const { assert!(!InPlace::<Aligned>::FITS && InPlace::<[u64; 6]>::FITS) };
        assert_eq!(size_of::<Envelope<u64>>(), 7 * size_of::<usize>());
    }
}
