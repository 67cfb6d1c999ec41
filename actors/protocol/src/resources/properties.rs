//! Properties that hold for all resources, checked on generated ones.
//!
//! `TEPUI_FUZZ_CASES` sets how many arbitrary texts the parser is tried on (2000 where it is not set).

use proptest::{collection as list, option, prelude::*};

use super::*;
use crate::role::Role;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,3}",
        1 => Just("PATH".to_owned()),
        1 => Just("REV".to_owned()),
        1 => any::<String>(),
    ]
}

fn any_role() -> impl Strategy<Value = Role> {
    let odd = "\\PC{1,6}".prop_filter_map("no role", |text| Role::new(text).ok());
    prop_oneof![8 => "[ab](/[ab]){0,2}".prop_map(|text| Role::new(text).unwrap()), 1 => odd]
}

fn any_value() -> impl Strategy<Value = Value> {
    let ranges = list::vec((0u64..40, 0u64..6), 0..4).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(begin, size)| begin..=begin + size)
            .collect()
    });
    prop_oneof![
        4 => (0..5000i64).prop_map(|milli| Value::Scalar(Scalar::from_milli(milli))),
        1 => (0..=Scalar::MAX.milli() / 64).prop_map(|milli| Value::Scalar(Scalar::from_milli(milli))),
        2 => ranges.prop_map(Value::Ranges),
        1 => list::btree_set(word(), 0..4).prop_map(Value::Set),
    ]
}

fn any_claim() -> impl Strategy<Value = Reservation> {
    let labels = list::btree_map(word(), word(), 0..3);
    let kind = prop_oneof![
        Just(ReservationKind::Static),
        Just(ReservationKind::Dynamic)
    ];
    (kind, any_role(), option::weighted(0.3, word()), labels).prop_map(
        |(kind, role, principal, labels)| Reservation {
            kind,
            role,
            principal,
            labels,
        },
    )
}

fn any_disk() -> impl Strategy<Value = DiskInfo> {
    let source = prop_oneof![
        word().prop_map(|root| DiskSource::Path { root }),
        word().prop_map(|root| DiskSource::Mount { root }),
    ];
    (option::of(word()), option::of(word()), option::of(source)).prop_map(
        |(persistence_id, container_path, source)| DiskInfo {
            persistence_id,
            container_path,
            source,
        },
    )
}

fn any_resource() -> impl Strategy<Value = Resource> {
    let name = prop_oneof![
        6 => prop_oneof![Just("cpus"), Just("mem"), Just("disk"), Just("ports")]
            .prop_map(str::to_owned),
        1 => word(),
    ];
    let claims = prop_oneof![3 => Just(Vec::new()), 2 => list::vec(any_claim(), 1..3)];
    let (disk, role) = (
        option::weighted(0.2, any_disk().prop_map(Box::new)),
        option::weighted(0.3, any_role()),
    );
    (
        name,
        any_value(),
        claims,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        disk,
        role,
    )
        .prop_map(
            |(name, value, reservations, revocable, shared, disk, allocation)| Resource {
                name: Name::from(name),
                value,
                reservations,
                revocable,
                shared,
                disk,
                allocation,
            },
        )
}

/// Anything that the types can hold, also what [`Resources::validate`] refuses.
fn any_resources() -> impl Strategy<Value = Resources> {
    list::vec(any_resource(), 0..8).prop_map(Resources::from)
}

/// Resources of few names and roles, so that two of them have much in common.
fn plain_resources() -> impl Strategy<Value = Resources> {
    let name = prop_oneof![Just("cpus"), Just("mem"), Just("disk")];
    let claims = list::vec(
        "[ab]".prop_map(|text| Reservation::fixed(Role::new(text).unwrap())),
        0..2,
    );
    let entry = (name, 0..5i64, claims, any::<bool>());
    let entry = entry.prop_map(|(name, whole, reservations, revocable)| Resource {
        reservations,
        revocable,
        ..Resource::scalar(name, Scalar::from_milli(whole * 500))
    });
    (list::vec(entry, 0..8), list::vec(0u64..30, 0..8)).prop_map(|(entries, ports)| {
        let ports = ports.into_iter().map(|port| port..=port).collect();
        entries
            .into_iter()
            .chain([Resource::ranges(PORTS, ports)])
            .collect()
    })
}

/// Without numbers and names in common, of which a sum keeps one only.
fn without_common_items(a: &Resources, b: &Resources) -> Resources {
    let scalar_or_whole = |entry: &Resource| entry.amount().is_some() || entry.is_whole();
    let items = |all: &Resources| all.filter(|entry| !scalar_or_whole(entry));
    items(b) - &items(a) + &b.filter(scalar_or_whole)
}

fn fuzz_cases() -> u32 {
    let text = std::env::var("TEPUI_FUZZ_CASES").unwrap_or_else(|_| "2000".to_owned());
    text.parse().expect("TEPUI_FUZZ_CASES is a number")
}

/// Parts of texts in the grammar, and what does not belong there.
const PIECES: &[&str] = &[
    "cpus",
    "ports",
    "disk",
    ":",
    ":",
    ":",
    "1",
    "0.5",
    "-",
    "99999999999999999999",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    ",",
    ";",
    " ",
    "\"",
    "\\",
    "REV",
    "SHARED",
    "PATH:",
    "MOUNT:",
    "STATIC",
    "DYNAMIC",
    "allocated:",
    "reservations:[(",
    "a/b",
    "*",
    "\u{a0}",
    "é",
    "\n",
    "\0",
    "{\"name\":",
    "\"type\":\"SCALAR\"",
    "\"scalar\":{\"value\":",
    "[{",
    "null",
];

/// A text that has much of the grammar but need not follow it.
fn almost_resources() -> impl Strategy<Value = String> {
    list::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// What must hold for every text: no panic, a located error, or resources that print and parse.
fn check_parse(text: &str) -> Result<(), TestCaseError> {
    let _ = Quantities::parse(text);
    match Resources::parse(text) {
        Ok(read) => {
            let printed = read.to_string();
            prop_assert_eq!(Resources::parse(&printed), Ok(read), "{}", printed);
        }
        Err(error) => {
            prop_assert!(text[error.at..].starts_with(&error.item), "{:?}", error);
            prop_assert!(!error.problem.is_empty() && !error.right.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fuzz_cases()))]

    #[test]
    fn fuzz_no_text_makes_the_parser_panic(text in any::<String>()) {
        check_parse(&text)?;
    }

    #[test]
    fn fuzz_no_bytes_make_the_parser_panic(bytes in list::vec(any::<u8>(), 0..64)) {
        check_parse(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn fuzz_no_almost_correct_text_makes_the_parser_panic(text in almost_resources()) {
        check_parse(&text)?;
    }

    #[test]
    fn fuzz_no_cut_or_changed_text_makes_the_parser_panic(
        all in any_resources(), at in any::<prop::sample::Index>(), new in any::<char>(),
    ) {
        for text in [all.to_string(), all.to_json().to_string()] {
            let mut chars: Vec<char> = text.chars().collect();
            if !chars.is_empty() {
                let at = at.index(chars.len());
                check_parse(&chars[..at].iter().collect::<String>())?;
                chars[at] = new;
                check_parse(&chars.into_iter().collect::<String>())?;
            }
        }
    }
}

proptest! {
    #[test]
    fn text_and_json_and_messagepack_keep_everything(all in any_resources()) {
        prop_assert_eq!(&Resources::parse(&all.to_string()).unwrap(), &all);
        prop_assert_eq!(&Resources::from_json(&all.to_json()).unwrap(), &all);
        prop_assert_eq!(&Resources::parse(&all.to_json().to_string()).unwrap(), &all);
        let json = serde_json::to_vec(&all).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Resources>(&json).unwrap(), &all);
        let packed = rmp_serde::to_vec_named(&all).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<Resources>(&packed).unwrap(), &all);
    }

    #[test]
    fn quantities_keep_everything_too(all in any_resources()) {
        let amounts = all.quantities();
        prop_assert_eq!(&Quantities::parse(&amounts.to_string()).unwrap(), &amounts);
        let packed = rmp_serde::to_vec_named(&amounts).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<Quantities>(&packed).unwrap(), &amounts);
        for (name, amount) in &amounts {
            prop_assert_eq!(all.scalar(name), amount);
        }
    }

    #[test]
    fn entries_are_in_order_and_merged(a in any_resources(), b in any_resources()) {
        for all in [&a + &b, &a - &b, a.flatten(), a.pop_reservation(), a.unallocate()] {
            let entries: Vec<&Resource> = all.iter().collect();
            for pair in entries.windows(2) {
                let order = pair[0].cmp_entry(pair[1]);
                prop_assert!(order.is_lt() || (order.is_eq() && pair[0].is_whole()));
            }
            prop_assert!(entries.iter().all(|entry| !entry.value.is_empty()));
        }
    }

    #[test]
    fn addition_commutes_and_associates(
        a in any_resources(), b in any_resources(), c in plain_resources(),
    ) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!((&a + &b) + &c, &a + &(&b + &c));
        prop_assert_eq!(&a + &Resources::new(), a.clone());
    }

    #[test]
    fn what_was_added_is_contained_and_can_be_taken_off(
        a in any_resources(), b in any_resources(),
    ) {
        let b = without_common_items(&a, &b);
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        prop_assert_eq!(&(&sum - &b), &a);
        prop_assert_eq!(sum.checked_sub(&a), Some(b));
    }

    #[test]
    fn checked_subtraction_agrees_with_containment(
        a in plain_resources(), b in plain_resources(),
    ) {
        match a.checked_sub(&b) {
            Some(left) => {
                prop_assert!(a.contains(&b));
                prop_assert_eq!(left + &b, a.clone());
            }
            None => prop_assert!(!a.contains(&b)),
        }
        prop_assert!(a.contains(&(&a - &b)));
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
    }

    #[test]
    fn flattening_keeps_amounts(all in any_resources()) {
        let own = all.non_shared();
        prop_assert_eq!(own.flatten().quantities(), own.quantities());
        prop_assert_eq!(own.flatten().ports(), own.ports());
        for entry in &all.flatten() {
            prop_assert!(entry.reservations.is_empty() && entry.allocation.is_none());
        }
    }

    #[test]
    fn allocations_and_reservations_can_be_taken_off(all in any_resources(), claim in any_claim()) {
        let all = all.unallocate();
        prop_assert_eq!(&all.allocate(&claim.role).unallocate(), &all);
        prop_assert_eq!(&all.push_reservation(&claim).pop_reservation(), &all);
    }

    #[test]
    fn every_entry_is_in_exactly_one_part(all in any_resources(), role in any_role()) {
        prop_assert_eq!(&(all.reserved() + &all.unreserved()), &all);
        prop_assert_eq!(&(all.scalars() + &all.non_scalars()), &all);
        let by_role: Resources = all.reservations().values().sum();
        prop_assert_eq!(&by_role, &all.reserved());
        prop_assert!(all.allocatable_to(&role).contains(&all.reserved_to(&role)));
        let in_roles: Resources = all.allocations().values().sum();
        prop_assert_eq!(in_roles, all.filter(|entry| entry.allocation.is_some()));
    }

    #[test]
    fn what_is_found_is_there_and_covers_the_wish(
        pool in plain_resources(), wish in plain_resources(),
    ) {
        match pool.find(&wish) {
            Some(found) => {
                prop_assert!(pool.contains(&found));
                prop_assert_eq!(found.flatten(), wish.flatten());
            }
            None => prop_assert!(!pool.flatten().contains(&wish.flatten())),
        }
        prop_assert_eq!(pool.find(&pool), Some(pool));
    }

    #[test]
    fn quantities_follow_the_arithmetic(a in plain_resources(), b in plain_resources()) {
        prop_assert_eq!((&a + &b).quantities(), a.quantities() + &b.quantities());
        if let Some(left) = a.checked_sub(&b) {
            prop_assert_eq!(left.quantities(), a.quantities() - &b.quantities());
            prop_assert!(a.quantities().contains(&b.quantities()));
        }
    }
}
