//! Watchers: registering races with the end that is watched for, and each is told exactly once.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::table::{Table, Watchers};

fn never(_: &usize, _: &usize) -> bool {
    false
}

/// How often each of two watchers was told.
#[derive(Clone, Default)]
struct Told(Arc<[AtomicUsize; 2]>);

impl Told {
    fn tell(&self, watchers: impl IntoIterator<Item = usize>) {
        for watcher in watchers {
            self.0[watcher].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> [usize; 2] {
        [0, 1].map(|watcher: usize| self.0[watcher].load(Ordering::Relaxed))
    }
}

#[test]
fn a_watcher_is_told_once_whether_it_came_before_the_end_or_after() {
    model(|| {
        let (table, told) = (Arc::new(Watchers::new()), Told::default());
        let registering: Vec<_> = (0..2)
            .map(|watcher| {
                let (table, told) = (table.clone(), told.clone());
                thread::spawn(move || told.tell(table.add(watcher, never).err()))
            })
            .collect();
        told.tell(table.close());
        for thread in registering {
            thread.join().unwrap();
        }
        assert_eq!(told.counts(), [1, 1]);
    });
}

/// The other node: remembers that it was asked to tell, and tells once.
#[derive(Clone, Default)]
struct Afar(Arc<AtomicBool>);

impl Afar {
    fn register(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    fn tells(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[test]
fn a_watcher_of_an_actor_afar_is_told_once_whenever_its_end_is_heard_of() {
    model(|| {
        let (table, told) = (Arc::new(Table::new()), Told::default());
        let afar = Afar::default();
        let registering: Vec<_> = (0..2)
            .map(|watcher| {
                let (table, told, afar) = (table.clone(), told.clone(), afar.clone());
                thread::spawn(move || {
                    told.tell(table.add(&7, watcher, never, || afar.register()));
                })
            })
            .collect();
        // The end is heard of now, if the other node was asked by now; and again later.
        if afar.tells() {
            told.tell(table.take(&7));
        }
        for thread in registering {
            thread.join().unwrap();
        }
        if afar.tells() {
            told.tell(table.take(&7));
        }
        assert_eq!(told.counts(), [1, 1]);
    });
}

#[test]
fn the_loss_of_a_node_tells_each_watcher_once() {
    model(|| {
        let (table, told) = (Arc::new(Table::new()), Told::default());
        let registering = {
            let (table, told) = (table.clone(), told.clone());
            thread::spawn(move || {
                told.tell(table.add(&7, 0, never, || true));
                // The last leaves, or finds that it is gone.
                table.remove(&7, |&watcher| watcher == 1, || ());
            })
        };
        let lost = table.take_all(|&key| key == 7);
        told.tell(lost.into_iter().flat_map(|(_, watchers)| watchers));
        registering.join().unwrap();
        let rest = table.take_all(|_| true);
        told.tell(rest.into_iter().flat_map(|(_, watchers)| watchers));
        assert_eq!(told.counts(), [1, 0]);
    });
}
