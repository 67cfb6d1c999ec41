//! Comma-separated tables with a header: columns are found by their names, whatever their order.

use super::number::shown;

/// The columns of a table, and where the wanted ones are.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    names: [&'static str; N],
    at: Option<[usize; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(names: [&'static str; N]) -> Self {
        Self { names, at: None }
    }

    /// Whether the header was seen.
    pub(crate) fn has_header(&self) -> bool {
        self.at.is_some()
    }

    /// The cells of a line in the order of the names; none for the header and for empty lines.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn cells<'l>(&mut self, line: &'l [u8]) -> Result<Option<[&'l [u8]; N]>, String> {
        // Spreadsheets begin a file with this.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        if line.contains(&b'"') {
            return Err("a quotation mark: cells are not quoted".to_owned());
        }
        let Some(at) = self.at else {
            self.at = Some(self.find(line)?);
            return Ok(None);
        };
        let mut cells: [&[u8]; N] = [b""; N];
        let mut count = 0;
        for cell in line.split(|&byte| byte == b',') {
            if let Some(wanted) = at.iter().position(|&column| column == count) {
                cells[wanted] = cell.trim_ascii();
            }
            count += 1;
        }
        match at.iter().max() {
            Some(&last) if last >= count => {
                Err(format!("{count} cells: must be at least {}", last + 1))
            }
            _ => Ok(Some(cells)),
        }
    }

    fn find(&self, header: &[u8]) -> Result<[usize; N], String> {
        let columns: Vec<&[u8]> = header
            .split(|&byte| byte == b',')
            .map(<[u8]>::trim_ascii)
            .collect();
        let mut at = [0; N];
        for (place, name) in at.iter_mut().zip(self.names) {
            let mut found = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| **column == name.as_bytes());
            *place = match (found.next(), found.next()) {
                (Some((column, _)), None) => column,
                (None, _) => {
                    return Err(format!("the header {} has no column {name}", shown(header)));
                }
                _ => return Err(format!("the header has column {name} twice")),
            };
        }
        Ok(at)
    }
}
