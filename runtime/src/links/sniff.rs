//! Who is it that connects: told by the first bytes, before anything is said.

use crate::frame::wire::MAGIC;

/// The longest method that is taken for one.
const METHOD_BYTES_MAX: usize = 20;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Too few bytes to say.
    Unclear,
    /// Our protocol, of any version; or nothing that is known, which the handshake words.
    Frames,
    /// HTTP: a method and a blank.
    Http,
}

/// Tells by the first bytes, however few.
pub(super) fn sniff(first: &[u8]) -> Speaks {
    let seen = first.len().min(MAGIC.len());
    if first[..seen] == MAGIC[..seen] {
        return match seen == MAGIC.len() {
            true => Speaks::Frames,
            false => Speaks::Unclear,
        };
    }
    //= rfc-9110 §9.1: methods are tokens; all that exist are upper-case letters and hyphens.
    let letters = |byte: &&u8| byte.is_ascii_uppercase() || **byte == b'-';
    let method = first
        .iter()
        .take(METHOD_BYTES_MAX + 1)
        .take_while(letters)
        .count();
    match first.get(method) {
        _ if method > METHOD_BYTES_MAX => Speaks::Frames,
        None => Speaks::Unclear,
        Some(b' ') if method > 0 => Speaks::Http,
        // Some clients send an empty line before a request.
        Some(b'\r' | b'\n') if method == 0 => Speaks::Http,
        Some(_) => Speaks::Frames,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_and_preambles_are_told_apart() {
        let cases: [(&[u8], Speaks); 13] = [
            (b"", Speaks::Unclear),
            (b"T", Speaks::Unclear),
            (b"TEPU", Speaks::Unclear),
            (b"TEPUI", Speaks::Frames),
            (b"TEPUI\0\x01\0\x01", Speaks::Frames),
            (b"TRAC", Speaks::Unclear),
            (b"TRACE /", Speaks::Http),
            (b"GET", Speaks::Unclear),
            (b"GET /help HTTP/1.1\r\n", Speaks::Http),
            (b"M-SEARCH *", Speaks::Http),
            (b"\x16\x03\x01", Speaks::Frames),
            (b" GET /", Speaks::Frames),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", Speaks::Frames),
        ];
        for (first, speaks) in cases {
            assert_eq!(sniff(first), speaks, "{}", first.escape_ascii());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What is clear stays so when more bytes arrive, and twenty-one are always enough.
        #[test]
        fn fuzz_more_bytes_never_change_a_verdict(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "(TEPUI|TEP|GET |[A-Z-]{0,24})[ /a-zA-Z]{0,9}".prop_map(String::into_bytes),
            ],
        ) {
            let verdicts: Vec<Speaks> = (0..=bytes.len()).map(|n| sniff(&bytes[..n])).collect();
            let clear = verdicts.iter().position(|v| *v != Speaks::Unclear);
            if let Some(clear) = clear {
                prop_assert!(verdicts[clear..].iter().all(|v| *v == verdicts[clear]));
            }
            prop_assert!(clear.is_some() || bytes.len() <= METHOD_BYTES_MAX);
        }
    }
}
