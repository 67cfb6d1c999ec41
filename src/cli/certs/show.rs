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
    let left = summary.not_after - now;
    // To the nearest day, so that a new certificate has all of its days.
    match (left + DAY / 2) / DAY {
        _ if left < 0 => "expired".to_owned(),
        _ if left < DAY => "for less than a day".to_owned(),
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
        for (now, told) in [
            (9 * DAY, "not yet"),
            (10 * DAY, "for 10 more days"),
            (10 * DAY + 5, "for 10 more days"),
            (19 * DAY, "for 1 more day"),
            (19 * DAY + 1, "for less than a day"),
            (20 * DAY, "for less than a day"),
            (20 * DAY + 1, "expired"),
        ] {
            assert_eq!(standing(&summary, now), told);
        }
    }
}
