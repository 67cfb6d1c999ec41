//! What people and scripts see: tables, JSON, errors.
//!
//! Tables have no lines, so that `awk` reads them; a terminal gets bold headings. Everything goes
//! through [`print`], which reports a closed pipe instead of panicking.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use tepui_protocol::{Resources, Scalar};

/// Writes `text` and a line break to stdout.
///
/// # Errors
/// When stdout is closed.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Writes bytes to stdout as they are.
///
/// # Errors
/// When stdout is closed.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Writes bytes to stderr as they are.
///
/// # Errors
/// When stderr is closed.
pub(crate) fn write_error(bytes: &[u8]) -> anyhow::Result<()> {
    Ok(io::stderr().lock().write_all(bytes)?)
}

/// Writes one line to stderr, for progress and warnings.
pub(crate) fn note(text: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes an error's one line to stderr.
pub(crate) fn error(text: &str) {
    let line = text.trim_end().replace('\n', " ");
    note(&format!("error: {line}"));
}

/// An error and its causes, each said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Whether the reader of our output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Prints `items` as JSON for scripts, or as the table that `rows` makes of them.
///
/// # Errors
/// When stdout is closed.
pub(crate) fn show<T: Serialize>(
    json: bool,
    items: &T,
    table: impl FnOnce(&T) -> Listing,
) -> anyhow::Result<()> {
    if json {
        return print(&serde_json::to_string_pretty(items)?);
    }
    print(&table(items).render())
}

/// A table in the making.
pub(crate) struct Listing {
    table: Table,
    /// Printed in place of an empty table.
    empty: &'static str,
}

impl Listing {
    /// A table with these headings; those that begin with `>` are columns of numbers. `empty` is
    /// said when there are no rows.
    pub(crate) fn new(headings: &[&str], empty: &'static str) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let bold = io::stdout().is_terminal();
        table.set_header(headings.iter().map(|heading| {
            let cell = Cell::new(heading.trim_start_matches('>'));
            if bold {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for (n, heading) in headings.iter().enumerate() {
            let Some(column) = table.column_mut(n) else {
                continue;
            };
            column.set_padding((0, 2));
            if heading.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, empty }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().map(|cell| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell
            }
        }));
    }

    /// The table as text, without a last line break.
    pub(crate) fn render(&self) -> String {
        if self.table.is_empty() {
            return self.empty.to_owned();
        }
        self.table.trim_fmt()
    }
}

/// `used/total` of a scalar, as `1.5/4`.
pub(crate) fn of_total(used: Scalar, total: Scalar) -> String {
    format!("{used}/{total}")
}

/// A share of the cluster, as `12.5%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// Resources for a narrow column: `cpus:4;mem:4096`, without allocations and ports.
pub(crate) fn brief(resources: &Resources) -> String {
    let amounts = resources.quantities();
    let parts = amounts
        .iter()
        .map(|(name, amount)| format!("{name}:{amount}"));
    parts.collect::<Vec<_>>().join(";")
}

/// A span for people: `12s`, `3m05s`, `2h10m`, `3d04h`.
pub(crate) fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tables_have_plain_columns_and_no_trailing_blanks() {
        let mut listing = Listing::new(&["TASK", ">CPUS"], "nothing");
        assert_eq!(listing.render(), "nothing");
        listing.row(["a".to_owned(), "0.5".to_owned()]);
        listing.row(["longer".to_owned(), String::new()]);
        assert_eq!(listing.render(), "TASK    CPUS\na        0.5\nlonger     -");
    }

    #[test]
    fn causes_are_said_once() {
        let error = anyhow::anyhow!("refused")
            .context("cannot connect: refused")
            .context("no");
        assert_eq!(chain(&error), "no: cannot connect: refused");
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (7, "7s"),
            (185, "3m05s"),
            (7800, "2h10m"),
            (273_600, "3d04h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(
            &anyhow::Error::from(closed).context("printing")
        ));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }
}
