//! A certificate in words.

use std::path::Path;

use anyhow::anyhow;
use tepui_certs::{DAY, Summary};

use super::files::read;
use crate::cli::bad_input;

/// What the certificate in `file` says, seen at `now`.
///
/// # Errors
/// When there is no certificate in it.
pub(super) fn describe(file: &Path, now: i64) -> anyhow::Result<String> {
    let text = read(file).map_err(bad_input)?;
    let summary = Summary::of_pem(&text)
        .map_err(|error| bad_input(anyhow!("{}: {error}", file.display())))?;
    let role = if summary.is_authority {
        " (a certificate authority)"
    } else {
        ""
    };
    let hosts = if summary.hosts.is_empty() {
        "none".to_owned()
    } else {
        summary.hosts.join(", ")
    };
    Ok(format!(
        "subject  {}{role}\nissuer   {}\nhosts    {hosts}\nvalid    {} to {}, {}",
        summary.subject,
        summary.issuer,
        summary.begins(),
        summary.ends(),
        standing(&summary, now)
    ))
}

fn standing(summary: &Summary, now: i64) -> String {
    if now < summary.not_before {
        return "not yet".to_owned();
    }
    match (summary.not_after - now) / DAY {
        _ if now > summary.not_after => "expired".to_owned(),
        1 => "for 1 more day".to_owned(),
        days => format!("for {days} more days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_days() {
        let summary = Summary {
            not_before: 10 * DAY,
            not_after: 20 * DAY,
            ..Summary::default()
        };
        for (day, told) in [
            (9, "not yet"),
            (10, "for 10 more days"),
            (19, "for 1 more day"),
            (20, "for 0 more days"),
            (21, "expired"),
        ] {
            assert_eq!(standing(&summary, day * DAY), told);
        }
    }
}
