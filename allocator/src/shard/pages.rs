//! An array of which a copy costs little: in pages that copies share until one of them is written.

use std::sync::Arc;

const PAGE: usize = 64;

/// Values by small number, with gaps.
#[derive(Clone, Debug)]
pub(super) struct Pages<T>(Vec<Arc<[Option<T>; PAGE]>>);

impl<T: Copy> Pages<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// O(1), and the copy of a page the first time that it is written after a copy of all.
    pub(super) fn set(&mut self, at: usize, value: Option<T>) {
        if at / PAGE >= self.0.len() {
            let empty = || Arc::new([None; PAGE]);
            self.0.resize_with(at / PAGE + 1, empty);
        }
        Arc::make_mut(&mut self.0[at / PAGE])[at % PAGE] = value;
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / PAGE)?[at % PAGE].as_ref()
    }

    /// All values, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|page| page.iter().flatten())
    }

    /// How many pages there are: what a copy costs.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut pages = Pages::new();
        pages.set(3, Some(1));
        pages.set(200, Some(2));
        let copy = pages.clone();
        pages.set(3, Some(5));
        pages.set(4, Some(6));
        pages.set(200, None);
        assert_eq!(copy.iter().collect::<Vec<_>>(), [&1, &2]);
        assert_eq!(pages.iter().collect::<Vec<_>>(), [&5, &6]);
        assert_eq!((copy.get(3), pages.get(3)), (Some(&1), Some(&5)));
        assert_eq!((copy.get(200), pages.get(200)), (Some(&2), None));
        assert_eq!((copy.len(), copy.get(100_000)), (4, None));
    }
}
