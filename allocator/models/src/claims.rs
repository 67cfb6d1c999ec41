//! loom: claims, releases and gangs against rivals. Whatever the schedule, nothing is given twice, nothing is
//! lost, and no half of a gang stays.

use loom::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread,
};

use crate::{
    sync::AtomicU64,
    table::FreeTable,
    word::{Packed, Units, Word},
};

type Table = FreeTable<AtomicU64>;

fn units() -> Units {
    Units::for_agents_up_to::<u64>([8, 8, 0, 0])
}

fn need(cpus: u64, mem: u64) -> Packed<u64> {
    units().demand([cpus, mem, 0, 0]).unwrap()
}

fn table(free: &[[u64; 2]]) -> Arc<Table> {
    let free = free.iter();
    Arc::new(Table::new(
        free.map(|[cpus, mem]| units().capacity([*cpus, *mem, 0, 0])),
    ))
}

fn free(table: &Table, agent: u32) -> [u64; 2] {
    let [cpus, mem, ..] = table.free(agent).unpack();
    [cpus, mem]
}

#[test]
fn of_two_claims_on_room_for_one_exactly_one_goes_through() {
    loom::model(|| {
        let table = table(&[[3, 3]]);
        let rival = table.clone();
        let other = thread::spawn(move || rival.claim(0, need(2, 1)).is_ok());
        let ours = table.claim(0, need(2, 1)).is_ok();
        assert!(ours ^ other.join().unwrap());
        assert_eq!(free(&table, 0), [1, 2]);
    });
}

#[test]
fn what_is_claimed_and_released_adds_up() {
    loom::model(|| {
        let table = table(&[[3, 2]]);
        let rival = table.clone();
        let other = thread::spawn(move || {
            if rival.claim(0, need(1, 2)).is_ok() {
                rival.release(0, need(1, 2));
            }
        });
        // Whatever the rival does, its claim is of three cpus at most with ours.
        let ours = table.claim(0, need(2, 0)).is_ok();
        assert!(ours, "there is room for both");
        table.release(0, need(2, 0));
        other.join().unwrap();
        assert_eq!(free(&table, 0), [3, 2]);
    });
}

#[test]
fn a_gang_against_a_rival_leaves_no_half_behind() {
    loom::model(|| {
        let table = table(&[[1, 1], [1, 1], [1, 1]]);
        let rival = table.clone();
        let one = need(1, 1);
        let other = thread::spawn(move || rival.claim_gang(&mut [(2, one), (1, one)]).is_ok());
        let ours = table.claim_gang(&mut [(0, one), (1, one)]).is_ok();
        let theirs = other.join().unwrap();
        assert!(ours ^ theirs, "agent 1 has room for one of them");
        let left = |taken| if taken { [0, 0] } else { [1, 1] };
        assert_eq!(free(&table, 0), left(ours));
        assert_eq!(free(&table, 1), [0, 0]);
        assert_eq!(free(&table, 2), left(theirs));
    });
}

#[test]
fn a_gang_that_meets_a_single_task_rolls_back() {
    loom::model(|| {
        let table = table(&[[1, 1], [1, 1]]);
        let rival = table.clone();
        let one = need(1, 1);
        let other = thread::spawn(move || rival.claim(1, one).is_ok());
        let gang = table.claim_gang(&mut [(0, one), (1, one)]).is_ok();
        let single = other.join().unwrap();
        assert!(gang ^ single, "agent 1 has room for one of them");
        let left = if gang { 0 } else { 1 };
        assert_eq!(free(&table, 0), [left, left]);
        assert_eq!(free(&table, 1), [0, 0]);
    });
}

#[test]
fn who_sees_a_gang_listed_sees_all_of_its_claims() {
    loom::model(|| {
        let table = table(&[[1, 1], [1, 1]]);
        let listed = Arc::new(AtomicBool::new(false));
        let (theirs, list) = (table.clone(), listed.clone());
        let one = need(1, 1);
        let claiming = thread::spawn(move || {
            if theirs.claim_gang(&mut [(0, one), (1, one)]).is_ok() {
                list.store(true, Ordering::Release);
            }
        });
        if listed.load(Ordering::Acquire) {
            assert_eq!([free(&table, 0), free(&table, 1)], [[0, 0], [0, 0]]);
        }
        claiming.join().unwrap();
    });
}
