//! A map that forgets its oldest entries.

use std::collections::BTreeMap;

/// Keeps the last `capacity` entries put in, by key.
#[derive(Clone, Debug)]
pub(crate) struct History<K, V> {
    capacity: usize,
    entries: BTreeMap<K, (u64, V)>,
    /// Keys by when they were put in.
    order: BTreeMap<u64, K>,
    next: u64,
}

impl<K: Ord + Clone, V> History<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }

    /// Puts an entry in, as the newest; returns what had to go for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Vec<(K, V)> {
        self.remove(&key);
        self.order.insert(self.next, key.clone());
        self.entries.insert(key, (self.next, value));
        self.next += 1;
        let excess = self.entries.len().saturating_sub(self.capacity);
        (0..excess).filter_map(|_| self.pop_oldest()).collect()
    }

    /// Takes the oldest entry out.
    pub(crate) fn pop_oldest(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        let (_, value) = self.entries.remove(&key)?;
        Some((key, value))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (at, value) = self.entries.remove(key)?;
        self.order.remove(&at);
        Some(value)
    }

    pub(crate) fn oldest(&self) -> Option<(&K, &V)> {
        let (_, key) = self.order.first_key_value()?;
        self.get(key).map(|value| (key, value))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_a_new_value_makes_an_entry_young() {
        let mut history = History::new(2);
        assert!(history.insert("a", 1).is_empty());
        history.insert("b", 2);
        history.insert("a", 3);
        assert_eq!(history.insert("c", 4), [("b", 2)]);
        assert_eq!(history.oldest(), Some((&"a", &3)));
        assert_eq!(history.remove(&"a"), Some(3));
        assert!(history.insert("d", 5).is_empty());
        assert_eq!(history.len(), 2);
    }

    #[test]
    fn without_room_nothing_stays() {
        let mut history = History::new(0);
        assert_eq!(history.insert(1, 'x'), [(1, 'x')]);
        assert_eq!(history.len(), 0);
    }
}
