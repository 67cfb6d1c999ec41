//! Spare blocks of a thread: what a busy mailbox leaves behind, the next one takes.
//!
//! Blocks of envelopes have one size whatever the actor, so one list serves all. Models use none.

#[cfg(not(any(loom, shuttle)))]
pub(super) use pooled::{give, take};
#[cfg(any(loom, shuttle))]
pub(super) use unpooled::{give, take};

#[cfg(any(loom, shuttle))]
mod unpooled {
    pub(crate) fn take<B>() -> Option<*mut B> {
        None
    }

    /// # Safety
    /// `block` comes from a box and is nobody's.
    pub(crate) unsafe fn give<B>(block: *mut B) {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(block) });
    }
}

#[cfg(not(any(loom, shuttle)))]
mod pooled {
    use std::{
        alloc::{Layout, dealloc},
        cell::RefCell,
    };

    /// Blocks that a thread keeps at most: 256 KiB.
    const KEPT: usize = 256;
    /// The one layout that is kept: blocks of envelopes.
    const LAYOUT: Layout = Layout::new::<[u64; 129]>();

    struct Spare(Vec<*mut u8>);

    impl Drop for Spare {
        fn drop(&mut self) {
            for block in self.0.drain(..) {
                // SAFETY: `give` took it out of a box of this layout; it holds nothing to drop.
                unsafe { dealloc(block, LAYOUT) };
            }
        }
    }

    thread_local! {
        static SPARE: RefCell<Spare> = const { RefCell::new(Spare(Vec::new())) };
    }

    /// A block that was given back.
    #[inline]
    pub(crate) fn take<B>() -> Option<*mut B> {
        if const { !same(Layout::new::<B>()) } {
            return None;
        }
        SPARE
            .try_with(|spare| spare.borrow_mut().0.pop())
            .ok()?
            .map(<*mut u8>::cast)
    }

    /// Keeps `block` for later, or frees it.
    ///
    /// # Safety
    /// `block` comes from a box, is nobody's, and holds nothing that needs to be dropped; taken
    /// again it is as it is now.
    #[inline]
    pub(crate) unsafe fn give<B>(block: *mut B) {
        let kept = const { same(Layout::new::<B>()) }
            && SPARE.try_with(|spare| keep(&mut spare.borrow_mut().0, block.cast())) == Ok(true);
        if !kept {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(block) });
        }
    }

    fn keep(spare: &mut Vec<*mut u8>, block: *mut u8) -> bool {
        let room = spare.len() < KEPT;
        if room {
            spare.push(block);
        }
        room
    }

    const fn same(layout: Layout) -> bool {
        layout.size() == LAYOUT.size() && layout.align() == LAYOUT.align()
    }
}
