//! The text is what the recommendation says, and nothing else is taken for it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parse(text: &str) -> Result<TraceContext, InvalidTraceContext> {
    text.parse()
}

fn any_context() -> impl Strategy<Value = TraceContext> {
    (1..=u128::MAX, 1..=u64::MAX, any::<bool>()).prop_map(|(trace, span, sampled)| {
        TraceContext::new(
            TraceId::new(trace).unwrap(),
            SpanId::new(span).unwrap(),
            sampled,
        )
    })
}

#[test]
fn the_recommendations_own_example_is_read() {
    let context = parse(TEXT).unwrap();
    assert_eq!(
        context.trace_id().get(),
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c
    );
    assert_eq!(context.span_id().get(), 0xb7ad_6b71_6920_3331);
    assert!(context.is_sampled());
    assert_eq!(context.to_string(), TEXT);
}

#[test]
fn what_the_recommendation_forbids_is_refused() {
    let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
    let upper = TEXT.to_uppercase();
    let long = format!("{TEXT}-00");
    let refused: [(&str, &str); 13] = [
        ("", "not of the right length"),
        (&TEXT[1..], "not of the right length"),
        (&long, "not of the right length"),
        (&zero_trace, "bad trace id"),
        (&zero_span, "bad span id"),
        (&upper, "bad trace id"),
        (&TEXT.replacen("00", "ff", 1), "version ff is not allowed"),
        (&TEXT.replacen("00", "0+", 1), "bad version"),
        (&TEXT.replace("-01", "-+1"), "bad flags"),
        (&TEXT.replace("-01", "-1 "), "bad flags"),
        (&TEXT.replace('-', "_"), "a hyphen is missing"),
        (&format!("01{}x", &TEXT[2..]), "a hyphen is missing"),
        (&TEXT.replace("0a", "é"), "not of the right length"),
    ];
    for (text, problem) in refused {
        assert_eq!(parse(text), Err(InvalidTraceContext { problem }), "{text}");
    }
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    let known = parse(TEXT).unwrap();
    assert_eq!(parse(&format!("01{}", &TEXT[2..])), Ok(known));
    assert_eq!(parse(&format!("cc{}-what-ever", &TEXT[2..])), Ok(known));
    let other_flags = parse(&TEXT.replace("-01", "-fe")).unwrap();
    assert!(!other_flags.is_sampled());
    assert!(other_flags.to_string().ends_with("-00"));
}

#[test]
fn a_guard_restores_what_was_before() {
    let outer = parse(TEXT).unwrap();
    let inner = outer.with_span(SpanId::new(7).unwrap());
    let first = enter(outer);
    let second = enter(inner);
    assert_eq!(current(), Some(inner));
    drop(second);
    assert_eq!(current(), Some(outer));
    drop(first);
    assert_eq!(current(), None);
}

#[tokio::test]
async fn a_future_has_its_context_at_each_poll_and_leaks_it_to_nobody() {
    let context = parse(TEXT).unwrap();
    let seen = within(context, async {
        let before = current();
        tokio::task::yield_now().await;
        (before, current())
    });
    let other = async {
        tokio::task::yield_now().await;
        current()
    };
    let (seen, other) = futures_util::future::join(seen, other).await;
    assert_eq!(seen, (Some(context), Some(context)));
    assert_eq!(other, None);
}

#[test]
fn ids_do_not_repeat_and_follow_from_the_seed() {
    let (ids, same) = (Ids::new(3), Ids::new(3));
    let drawn: BTreeSet<_> = (0..10_000).map(|_| ids.span()).collect();
    assert_eq!(drawn.len(), 10_000);
    assert_eq!(drawn, (0..10_000).map(|_| same.span()).collect());
    assert_ne!(ids.trace(), ids.trace());
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(context in any_context()) {
        prop_assert_eq!(parse(&context.to_string()), Ok(context));
        prop_assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
        let packed = rmp_serde::to_vec(&context).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<TraceContext>(&packed).unwrap(), context);
    }

    #[test]
    fn a_changed_text_is_refused_or_prints_as_it_was_read(
        context in any_context(),
        at in 0..55_usize,
        to in any::<char>(),
    ) {
        let text: String = context
            .to_string()
            .chars()
            .enumerate()
            .map(|(n, old)| if n == at { to } else { old })
            .collect();
        if let Ok(read) = parse(&text) {
            prop_assert_eq!(&read.to_string()[3..52], &text[3..52]);
        }
    }

    #[test]
    fn arbitrary_text_does_no_harm(text in any::<String>(), shape in "[0-9a-f-]{50,60}") {
        let _ = (parse(&text), parse(&shape));
    }
}
