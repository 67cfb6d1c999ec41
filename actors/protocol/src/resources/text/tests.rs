//! Tests of the text form: what is read, how it is printed, and what is refused with which words.

use crate::resources::{Reservation, Resource, Resources, Scalar, Value};

fn resources(text: &str) -> Resources {
    Resources::parse(text).unwrap()
}

fn refused(text: &str) -> String {
    Resources::parse(text).unwrap_err().to_string()
}

#[test]
fn the_usual_forms_are_read_and_printed_in_one_order() {
    for (text, printed) in [
        ("", ""),
        (" ; ;", ""),
        ("mem:4096;cpus:4", "cpus:4;mem:4096"),
        ("cpus:1;cpus:0.5;cpus:0", "cpus:1.5"),
        (
            "ports:[31000-32000, 31500-33000];ports:[7]",
            "ports:[7-7,31000-33000]",
        ),
        ("zones:{b, a};zones:{c}", "zones:{a,b,c}"),
        (" cpus ( eng ) : 4 ; mem : 1.5 ", "cpus(eng):4;mem:1.5"),
        ("cpus(*):4;cpus(eng/web):1", "cpus:4;cpus(eng/web):1"),
        (
            "cpus(reservations:[(STATIC,*)]):4",
            "cpus(reservations:[(STATIC,*)]):4",
        ),
        ("cpus{REV}:2;cpus:1", "cpus:1;cpus{REV}:2"),
        ("ports:[];zones:{}", ""),
        ("disk[id:path]:5", "disk[id:path]:5"),
        ("disk[MOUNT:/mnt]:5", "disk[MOUNT:/mnt]:5"),
        (
            "disk[PATH:/mnt, id:path]<SHARED>:5",
            "disk[PATH:/mnt,id:path]<SHARED>:5",
        ),
        ("größe:1", "größe:1"),
    ] {
        assert_eq!(resources(text).to_string(), printed, "{text:?}");
    }
}

#[test]
fn the_forms_that_mesos_logs_are_read() {
    let text = "cpus(allocated: a/b)(reservations: [(STATIC,a)]):1; \
        mem(reservations: [(STATIC,a), (DYNAMIC,a/b,me,{k: v})]){REV}:2";
    assert_eq!(
        resources(text).to_string(),
        "cpus(allocated:a/b)(a):1;mem(reservations:[(STATIC,a),(DYNAMIC,a/b,me,{k:v})]){REV}:2"
    );
}

#[test]
fn words_with_special_characters_are_quoted() {
    let text = r#""a;b"("r(1)"):{" ","\"x\"",ü,"\n",""}"#;
    let read = resources(text);
    let entry = read.iter().next().unwrap();
    assert_eq!(
        (entry.name.as_str(), entry.reserved_to().unwrap().as_str()),
        ("a;b", "r(1)")
    );
    let Value::Set(items) = &entry.value else {
        panic!("{entry:?}")
    };
    assert!(items.contains("\"x\"") && items.contains("\n") && items.contains(""));
    assert_eq!(resources(&read.to_string()), read);
}

#[test]
fn the_message_says_what_where_and_what_would_be_right() {
    assert_eq!(
        refused("cpus:x;mem:1"),
        "resources \"cpus:x;mem:1\": \"cpus:x\" (at 0): \"x\" is not a number, range or set; \
         write e.g. cpus:4, ports:[31000-32000] or zones:{a,b}"
    );
    let error = Resources::parse("cpus:1; mem:4GB ;disk:1").unwrap_err();
    assert_eq!((error.at, error.item.as_str()), (8, "mem:4GB"));
    assert_eq!(error.problem, "\"4GB\" is not a number");
    assert_eq!(error.right, "write a plain number, of mem and disk in MiB");
}

#[test]
fn every_wrong_text_is_refused_with_its_reason() {
    for (text, reason) in [
        ("cpus", "has no amount"),
        ("cpus;mem:1", "has no amount"),
        ("cpus:", "has no amount"),
        (":4", "has no name"),
        ("cpus=4", "has no amount"),
        ("cpus:-1", "must not be negative"),
        ("cpus:1e20", "is not a number"),
        ("cpus:2000000000000", "must be at most"),
        ("cpus:nan", "is not a number"),
        ("cpus:1,mem:2", "write `;` between resources"),
        ("cpus:1:2", "\":2\" after the amount"),
        ("cp us:1", "has a blank"),
        ("cpus(a b):1", "has a blank"),
        ("cpus(a:1", "write `)` there"),
        ("cpus(a", "ends too early"),
        ("cpus():1", "must not be empty"),
        ("cpus(a/):1", "role \"a/\""),
        ("cpus)a(:1", "where `:`"),
        ("cpus(a)(b):1", "a second reservation"),
        ("cpus{REV}{REV}:1", "a second {REV}"),
        ("cpus{rev}:1", "write `REV` there"),
        ("cpus<X>:1", "write `SHARED` there"),
        (
            "cpus(reservations:[(MAYBE,a)]):1",
            "\"MAYBE\" is not a kind",
        ),
        ("cpus(reservations:[(STATIC,a,{k}])):1", "write `:` there"),
        ("ports:[1-2", "ends too early"),
        ("ports:[2-1]", "2-1 ends before it begins"),
        ("ports:[a-b]", "is not a whole number"),
        ("ports:[-1]", "is not a whole number"),
        ("ports:[1-]", "is not a whole number"),
        ("ports:[1-99999999999999999999]", "is more than"),
        ("zones:{a,,b}", "write a name"),
        ("zones:{a", "ends too early"),
        ("zones:{\"a}", "a quote is not closed"),
        ("zones:{\"\\q\"}", "bad escape"),
        ("disk[PATH]:1;disk[PATH:]:1", "unexpected"),
        ("cpus:4 mem:2", "is not a number"),
    ] {
        let error = refused(text);
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn an_operators_static_reservation_is_printed_short_and_others_in_full() {
    let role = crate::Role::new("a").unwrap();
    let one = Resources::from(Resource::scalar("cpus", Scalar::from_whole(1)));
    let fixed = one.push_reservation(&Reservation::fixed(role.clone()));
    assert_eq!(fixed.to_string(), "cpus(a):1");
    let dynamic = one.push_reservation(&Reservation::dynamic(role, Some("me".into())));
    assert_eq!(dynamic.to_string(), "cpus(reservations:[(DYNAMIC,a,me)]):1");
}
