//! Vectors that grow by an eighth instead of to twice their size: what a large cluster keeps for each framework
//! and agent is then not half of it unused.

/// Adds a value at the end; O(1) on average.
pub(crate) fn push<T>(all: &mut Vec<T>, value: T) {
    make_room(all, 1);
    all.push(value);
}

/// Makes it `len` long, with `value` where nothing was.
pub(crate) fn resize<T: Clone>(all: &mut Vec<T>, len: usize, value: T) {
    make_room(all, len.saturating_sub(all.len()));
    all.resize(len, value);
}

fn make_room<T>(all: &mut Vec<T>, more: usize) {
    if all.len() + more > all.capacity() {
        all.reserve_exact(more + all.len() / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_unused_and_growing_is_seldom() {
        let (mut all, mut grown) = (Vec::new(), 0);
        for n in 0..10_000 {
            let before = all.capacity();
            if n % 2 == 0 {
                push(&mut all, n);
            } else {
                resize(&mut all, n + 1, n);
            }
            grown += usize::from(all.capacity() > before);
            assert!(all.capacity() <= all.len() + all.len() / 8 + 1);
        }
        assert_eq!(all, (0..10_000).collect::<Vec<_>>());
        assert!(grown < 100, "{grown}");
    }
}
