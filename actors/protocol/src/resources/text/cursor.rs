//! A place in a text, and the words and signs that can be read there.

/// What is wrong at a place, and what would be right.
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) right: String,
}

pub(super) fn wrong(problem: impl ToString, right: impl ToString) -> Wrong {
    Wrong {
        problem: problem.to_string(),
        right: right.to_string(),
    }
}

/// Characters that end a bare word, besides blanks.
const SIGNS: &str = "()[]{}<>:;,\"";

/// Whether a word can stand without quotes.
pub(super) fn is_bare(word: &str) -> bool {
    let ordinary = |c: char| !(SIGNS.contains(c) || c.is_whitespace() || c.is_control());
    !word.is_empty() && word.chars().all(ordinary)
}

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes to the next character that is no blank; returns its place.
    pub(super) fn skip_blanks(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// The next character that is no blank.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().trim_start().chars().next()
    }

    /// What follows up to the next semicolon, for messages.
    pub(super) fn rest_of_item(&self) -> &'a str {
        self.rest().split(';').next().unwrap_or_default().trim()
    }

    /// Steps over `sign` if it comes next.
    pub(super) fn eat(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// Steps over `key` and a colon if they come next.
    pub(super) fn eat_key(&mut self, key: &str) -> bool {
        let start = self.at;
        let found = self.eat(key) && self.eat(":");
        if !found {
            self.at = start;
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.eat(sign) {
            return Ok(());
        }
        let problem = match self.peek() {
            None => "ends too early".to_owned(),
            Some(_) => format!("unexpected {:?}", self.rest_of_item()),
        };
        Err(wrong(problem, format_args!("write `{sign}` there")))
    }

    /// Reads ordinary characters, without blanks at their ends; maybe none.
    pub(super) fn bare(&mut self) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c| SIGNS.contains(c)).unwrap_or(rest.len());
        self.at += end;
        rest[..end].trim_end()
    }

    /// Reads a bare or quoted word.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Wrong> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let word = self.bare();
        if is_bare(word) {
            return Ok(word.to_owned());
        }
        let problem = match (word, self.peek()) {
            ("", None) => "ends too early".to_owned(),
            ("", Some(_)) => format!("unexpected {:?}", self.rest_of_item()),
            _ => format!("{word:?} has a blank or control character in it"),
        };
        Err(wrong(
            problem,
            format_args!("write {what}, in quotes if it has special characters"),
        ))
    }

    fn quoted(&mut self) -> Result<String, Wrong> {
        self.skip_blanks();
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let right = "write quoted words as JSON strings: \"a b\"";
        let end = end.ok_or_else(|| wrong("a quote is not closed", right))? + 2;
        self.at += end;
        serde_json::from_str(&rest[..end])
            .map_err(|_| wrong(format!("{} has a bad escape", &rest[..end]), right))
    }

    /// Reads a whole number.
    pub(super) fn number(&mut self) -> Result<u64, Wrong> {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        self.at += end;
        rest[..end].parse().map_err(|_| {
            let problem = match &rest[..end] {
                "" => format!("{:?} is not a whole number", self.rest_of_item()),
                large => format!("{large} is more than {}", u64::MAX),
            };
            wrong(problem, "write ranges such as [31000-32000,40000-40010]")
        })
    }

    /// Reads items with commas between them up to `close`; maybe none.
    pub(super) fn list<T, C: Default + Extend<T>>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, Wrong>,
    ) -> Result<C, Wrong> {
        let mut all = C::default();
        if self.eat(close) {
            return Ok(all);
        }
        loop {
            all.extend([item(self)?]);
            if !self.eat(",") {
                self.expect(close)?;
                return Ok(all);
            }
        }
    }
}
