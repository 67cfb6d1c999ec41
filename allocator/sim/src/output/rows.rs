//! Rows of comma-separated tables, written without detours: a large trace has millions of cells.

use std::io::{self, Write};

use crate::time::Time;

/// A row in the making.
pub(super) struct Row(Vec<u8>);

impl Row {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    /// Writes the row and begins the next.
    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.0.last_mut() {
            Some(comma) => *comma = b'\n',
            None => self.0.push(b'\n'),
        }
        out.write_all(&self.0)?;
        self.0.clear();
        Ok(())
    }

    /// A cell without commas, quotation marks and line breaks.
    pub(super) fn plain(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b',');
        self
    }

    /// A cell with any text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        if !text.contains([',', '"', '\n', '\r']) {
            return self.plain(text);
        }
        let quoted = format!("\"{}\"", text.replace('"', "\"\""));
        self.plain(&quoted)
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.digits(number);
        self.0.push(b',');
        self
    }

    /// A float in its shortest form.
    pub(super) fn float(&mut self, number: f64) -> &mut Self {
        self.plain(&number.to_string())
    }

    /// A fixed-point number in 1/1000.
    pub(super) fn milli(&mut self, milli: u64) -> &mut Self {
        self.decimal(milli, 1000);
        self.0.push(b',');
        self
    }

    /// Seconds; an empty cell for never.
    pub(super) fn time(&mut self, time: Time) -> &mut Self {
        if time != Time::NEVER {
            self.decimal(time.0, 1_000_000);
        }
        self.0.push(b',');
        self
    }

    pub(super) fn empty(&mut self) -> &mut Self {
        self.0.push(b',');
        self
    }

    /// Digits without a cell's end.
    pub(super) fn digits(&mut self, mut number: u64) {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    /// A byte without a cell's end.
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn decimal(&mut self, units: u64, per_one: u64) {
        self.digits(units / per_one);
        let mut rest = units % per_one;
        if rest == 0 {
            return;
        }
        self.0.push(b'.');
        let mut place = per_one / 10;
        while rest > 0 {
            self.0.push(b'0' + (rest / place) as u8);
            rest %= place;
            place = (place / 10).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_exact_and_short() {
        let (mut row, mut out) = (Row::new(), Vec::new());
        row.number(0)
            .number(u64::MAX)
            .time(Time(1_500_000))
            .time(Time(7))
            .time(Time(20_000_000))
            .time(Time::NEVER);
        row.milli(2500)
            .milli(3000)
            .float(0.25)
            .text("a \"b\", c")
            .empty()
            .end(&mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "0,18446744073709551615,1.5,0.000007,20,,2.5,3,0.25,\"a \"\"b\"\", c\",\n"
        );
    }
}
