//! Slots: values by small number, which are used again, with a generation so that an old handle is not
//! taken for the new value.

use std::{fmt, marker::PhantomData};

use crate::sparing;

/// Names a value that the engine keeps; of no use after the value was removed.
pub struct Slot<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    /// The number by which the engine's arrays are indexed; used again after removal.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}

impl<T> Eq for Slot<T> {}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Values of one kind. Adding and removing is O(1) and allocates only to grow.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    /// Generations are odd while the slot is taken.
    entries: Vec<(u32, T)>,
    vacant: Vec<u32>,
}

impl<T: Default> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// Adds a value; the slot vacated last is taken first, as it is likely still in the cache.
    ///
    /// # Panics
    /// With 2^32 values.
    pub(super) fn add(&mut self, value: T) -> Slot<T> {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                sparing::push(&mut self.entries, (0, T::default()));
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 values")
            }
        };
        let entry = &mut self.entries[index as usize];
        entry.0 = entry.0.wrapping_add(1);
        entry.1 = value;
        self.handle(index)
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, slot: Slot<T>) -> Option<T> {
        let entry = self.entries.get_mut(slot.index())?;
        if entry.0 != slot.generation {
            return None;
        }
        entry.0 = entry.0.wrapping_add(1);
        sparing::push(&mut self.vacant, slot.index);
        Some(std::mem::take(&mut entry.1))
    }

    /// The value that a handle names, if it is still there.
    pub(super) fn get(&self, slot: Slot<T>) -> Option<&T> {
        let entry = self.entries.get(slot.index())?;
        (entry.0 == slot.generation).then_some(&entry.1)
    }

    /// As [`Slots::get`].
    pub(super) fn get_mut(&mut self, slot: Slot<T>) -> Option<&mut T> {
        let entry = self.entries.get_mut(slot.index())?;
        (entry.0 == slot.generation).then_some(&mut entry.1)
    }

    /// The value at a number that is in use.
    pub(super) fn at(&self, index: u32) -> &T {
        &self.entries[index as usize].1
    }

    /// As [`Slots::at`].
    pub(super) fn at_mut(&mut self, index: u32) -> &mut T {
        &mut self.entries[index as usize].1
    }

    /// The present handle of a number.
    pub(super) fn handle(&self, index: u32) -> Slot<T> {
        let generation = self.entries[index as usize].0;
        let of = PhantomData;
        Slot {
            index,
            generation,
            of,
        }
    }

    /// The handles in use, by number.
    pub(super) fn handles(&self) -> impl Iterator<Item = Slot<T>> + '_ {
        let numbers = (0..).zip(&self.entries);
        let used = numbers.filter(|(_, (generation, _))| generation % 2 == 1);
        used.map(|(index, _)| self.handle(index))
    }

    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    /// The memory it uses, in bytes, without what values own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, T)>() + self.vacant.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_handle_does_not_name_the_new_value() {
        let mut slots = Slots::new();
        let old = slots.add(7);
        assert_eq!((slots.remove(old), slots.remove(old)), (Some(7), None));
        let new = slots.add(8);
        assert_eq!(old.index(), new.index());
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&8)));
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.len(), 1);
    }
}
