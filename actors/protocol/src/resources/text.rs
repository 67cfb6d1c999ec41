//! The text form of resources: reading. The grammar stands at [`Resources::parse`].
//!
//! Owns what is particular to resources; `text/cursor.rs` reads words and signs, `text/print.rs` writes.

mod cursor;
mod print;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cursor::{Cursor, Wrong, wrong};
pub(super) use print::{write_list, write_word};

use super::{
    DiskInfo, DiskSource, Ranges, Reservation, ReservationKind, Resource, Resources, Scalar, Value,
    json,
};
use crate::role::Role;

/// Why a text is not resources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resources {text:?}: {item:?} (at {at}): {problem}; {right}")]
pub struct ParseError {
    /// The whole text.
    pub text: String,
    /// The item that is wrong.
    pub item: String,
    /// Where the item begins: bytes from the beginning of the text.
    pub at: usize,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub right: String,
}

const EXAMPLE: &str = "write e.g. cpus:4, ports:[31000-32000] or zones:{a,b}";
const PLAIN_NUMBER: &str = "write a plain number, of mem and disk in MiB";

pub(super) fn parse(text: &str) -> Result<Resources, ParseError> {
    if text.trim_start().starts_with('[') {
        return json::parse(text);
    }
    parse_items(text, item)
}

/// Reads plain scalars and their names.
pub(super) fn parse_amounts<C: FromIterator<(String, Scalar)>>(
    text: &str,
) -> Result<C, ParseError> {
    parse_items(text, |cursor| {
        let entry = item(cursor)?;
        let plain = entry == Resource::new(entry.name.clone(), entry.value.clone());
        match entry.value {
            Value::Scalar(amount) if plain => Ok((entry.name.into(), amount)),
            _ => Err(wrong(
                "must be a plain number",
                "write e.g. cpus:4;mem:4096",
            )),
        }
    })
}

/// Reads items between semicolons; empty ones mean nothing.
fn parse_items<'a, T, C: FromIterator<T>>(
    text: &'a str,
    mut read: impl FnMut(&mut Cursor<'a>) -> Result<T, Wrong>,
) -> Result<C, ParseError> {
    let mut cursor = Cursor::new(text);
    std::iter::from_fn(|| {
        while cursor.eat(";") {}
        let start = cursor.skip_blanks();
        let item = (!cursor.is_at_end())
            .then(|| read(&mut cursor).and_then(|read| end_of_item(&mut cursor).map(|()| read)));
        item.map(|item| item.map_err(|wrong| parse_error(text, start, wrong)))
    })
    .collect()
}

fn end_of_item(cursor: &mut Cursor<'_>) -> Result<(), Wrong> {
    match cursor.peek() {
        None | Some(';') => Ok(()),
        Some(',') => Err(wrong("`,` after the amount", "write `;` between resources")),
        Some(_) => Err(wrong(
            format!("{:?} after the amount", cursor.rest_of_item()),
            "write `;` between resources",
        )),
    }
}

fn parse_error(text: &str, at: usize, wrong: Wrong) -> ParseError {
    let item = Cursor::new(&text[at..]).rest_of_item().to_owned();
    let Wrong { problem, right } = wrong;
    ParseError {
        text: text.to_owned(),
        item,
        at,
        problem,
        right,
    }
}

fn item(cursor: &mut Cursor<'_>) -> Result<Resource, Wrong> {
    if cursor.peek() == Some(':') {
        return Err(wrong("has no name", EXAMPLE));
    }
    let mut resource = Resource::new(cursor.word("a name")?, Value::Scalar(Scalar::ZERO));
    qualifiers(cursor, &mut resource)?;
    if !cursor.eat(":") {
        return Err(match cursor.peek() {
            None | Some(';') => wrong("has no amount", EXAMPLE),
            Some(_) => wrong(
                format!(
                    "{:?} where `:` and the amount belong",
                    cursor.rest_of_item()
                ),
                EXAMPLE,
            ),
        });
    }
    resource.value = value(cursor)?;
    Ok(resource)
}

/// Reads what stands between the name and the colon.
fn qualifiers(cursor: &mut Cursor<'_>, resource: &mut Resource) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    loop {
        let what = if cursor.eat("(") {
            parenthesis(cursor, resource)?
        } else if cursor.eat("[") {
            resource.disk = Some(Box::new(disk(cursor)?));
            "disk"
        } else if cursor.eat("{") {
            cursor.expect("REV")?;
            cursor.expect("}")?;
            resource.revocable = true;
            "{REV}"
        } else if cursor.eat("<") {
            cursor.expect("SHARED")?;
            cursor.expect(">")?;
            resource.shared = true;
            "<SHARED>"
        } else {
            return Ok(());
        };
        if !seen.insert(what) {
            return Err(wrong(
                format!("has a second {what}"),
                "write each qualifier once",
            ));
        }
    }
}

/// Reads a role, an allocation or a stack of reservations, after `(`.
fn parenthesis(cursor: &mut Cursor<'_>, resource: &mut Resource) -> Result<&'static str, Wrong> {
    if cursor.eat_key("allocated") {
        resource.allocation = Some(role(cursor)?);
        cursor.expect(")")?;
        return Ok("allocation");
    }
    if cursor.eat_key("reservations") {
        cursor.expect("[")?;
        resource.reservations = cursor.list("]", claim)?;
    } else {
        let role = role(cursor)?;
        if !role.is_star() {
            resource.reservations.push(Reservation::fixed(role));
        }
    }
    cursor.expect(")")?;
    Ok("reservation")
}

fn role(cursor: &mut Cursor<'_>) -> Result<Role, Wrong> {
    let text = if cursor.peek() == Some(')') {
        String::new()
    } else {
        cursor.word("a role")?
    };
    Role::new(text).map_err(|error| wrong(error, "write a role such as eng or eng/web"))
}

fn claim(cursor: &mut Cursor<'_>) -> Result<Reservation, Wrong> {
    cursor.expect("(")?;
    let kind = match cursor.word("STATIC or DYNAMIC")?.as_str() {
        "STATIC" => ReservationKind::Static,
        "DYNAMIC" => ReservationKind::Dynamic,
        other => {
            let problem = format!("{other:?} is not a kind of reservation");
            return Err(wrong(problem, "write STATIC or DYNAMIC"));
        }
    };
    cursor.expect(",")?;
    let role = role(cursor)?;
    let (mut principal, mut labels) = (None, BTreeMap::new());
    let mut more = cursor.eat(",");
    if more && cursor.peek() != Some('{') {
        principal = Some(cursor.word("a principal")?);
        more = cursor.eat(",");
    }
    if more {
        cursor.expect("{")?;
        labels = cursor.list("}", label)?;
    }
    cursor.expect(")")?;
    Ok(Reservation {
        kind,
        role,
        principal,
        labels,
    })
}

fn label(cursor: &mut Cursor<'_>) -> Result<(String, String), Wrong> {
    let key = cursor.word("a label's key")?;
    cursor.expect(":")?;
    Ok((key, cursor.word("a label's value")?))
}

/// Reads disk information, after `[`.
fn disk(cursor: &mut Cursor<'_>) -> Result<DiskInfo, Wrong> {
    let mut disk = DiskInfo::default();
    if cursor.eat_key("PATH") {
        disk.source = Some(DiskSource::Path {
            root: cursor.word("a directory")?,
        });
    } else if cursor.eat_key("MOUNT") {
        disk.source = Some(DiskSource::Mount {
            root: cursor.word("a mount point")?,
        });
    }
    if disk.source.is_some() {
        cursor.eat(",");
    }
    if !matches!(cursor.peek(), Some(':' | ']')) {
        disk.persistence_id = Some(cursor.word("a volume's id")?);
    }
    if cursor.eat(":") {
        disk.container_path = Some(cursor.word("a container path")?);
    }
    cursor.expect("]")?;
    Ok(disk)
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, Wrong> {
    if cursor.eat("[") {
        return Ok(Value::Ranges(Ranges::from(
            cursor.list::<_, Vec<_>>("]", range)?,
        )));
    }
    if cursor.eat("{") {
        return Ok(Value::Set(
            cursor.list("}", |cursor| cursor.word("a name"))?,
        ));
    }
    let text = cursor.bare();
    if text.is_empty() {
        return Err(wrong("has no amount", EXAMPLE));
    }
    Scalar::parse(text)
        .map(Value::Scalar)
        .map_err(|error| bad_scalar(text, &error))
}

fn bad_scalar(text: &str, error: &super::InvalidScalar) -> Wrong {
    let digit = |c: &str| c.starts_with(|c: char| c.is_ascii_digit());
    if !error.is_not_a_number() {
        wrong(error, PLAIN_NUMBER)
    } else if digit(text) {
        wrong(format!("{text:?} is not a number"), PLAIN_NUMBER)
    } else {
        wrong(format!("{text:?} is not a number, range or set"), EXAMPLE)
    }
}

fn range(cursor: &mut Cursor<'_>) -> Result<(u64, u64), Wrong> {
    let begin = cursor.number()?;
    let end = if cursor.eat("-") {
        cursor.number()?
    } else {
        begin
    };
    if begin > end {
        let problem = format!("the range {begin}-{end} ends before it begins");
        return Err(wrong(problem, "write the lower number first"));
    }
    Ok((begin, end))
}
