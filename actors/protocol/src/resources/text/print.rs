//! The text form of resources: writing. What is written here is read back as the same value.

use std::fmt::{Display, Formatter, Result};

use super::cursor::is_bare;
use crate::resources::{
    DiskInfo, DiskSource, Reservation, ReservationKind, Resource, Resources, Value,
};

/// Writes items with semicolons between them.
pub(in crate::resources) fn write_list<T>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut Formatter<'_>, T) -> Result,
) -> Result {
    write_joined(f, ";", items, write)
}

fn write_joined<T>(
    f: &mut Formatter<'_>,
    sign: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Formatter<'_>, T) -> Result,
) -> Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(sign)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// Writes a word, in quotes where it could not be read back without.
pub(in crate::resources) fn write_word(f: &mut Formatter<'_>, word: &str) -> Result {
    if is_bare(word) {
        f.write_str(word)
    } else {
        write_quoted(f, word)
    }
}

fn write_quoted(f: &mut Formatter<'_>, word: &str) -> Result {
    write!(f, "{}", serde_json::Value::from(word))
}

impl Display for Resources {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_list(f, self, |f, entry| write!(f, "{entry}"))
    }
}

impl Display for Resource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_word(f, &self.name)?;
        if let Some(role) = &self.allocation {
            f.write_str("(allocated:")?;
            write_word(f, role.as_str())?;
            f.write_str(")")?;
        }
        write_reservations(f, &self.reservations)?;
        if let Some(disk) = &self.disk {
            write!(f, "{disk}")?;
        }
        f.write_str(if self.revocable { "{REV}" } else { "" })?;
        f.write_str(if self.shared { "<SHARED>" } else { "" })?;
        write!(f, ":{}", self.value)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Value::Scalar(amount) => write!(f, "{amount}"),
            Value::Ranges(ranges) => write!(f, "{ranges}"),
            Value::Set(items) => {
                f.write_str("{")?;
                write_joined(f, ",", items, |f, item| write_word(f, item))?;
                f.write_str("}")
            }
        }
    }
}

fn write_reservations(f: &mut Formatter<'_>, stack: &[Reservation]) -> Result {
    match stack {
        [] => Ok(()),
        [only] if *only == Reservation::fixed(only.role.clone()) && !only.role.is_star() => {
            f.write_str("(")?;
            write_word(f, only.role.as_str())?;
            f.write_str(")")
        }
        _ => {
            f.write_str("(reservations:[")?;
            write_joined(f, ",", stack, write_claim)?;
            f.write_str("])")
        }
    }
}

fn write_claim(f: &mut Formatter<'_>, claim: &Reservation) -> Result {
    f.write_str(match claim.kind {
        ReservationKind::Static => "(STATIC,",
        ReservationKind::Dynamic => "(DYNAMIC,",
    })?;
    write_word(f, claim.role.as_str())?;
    if let Some(principal) = &claim.principal {
        f.write_str(",")?;
        write_word(f, principal)?;
    }
    if !claim.labels.is_empty() {
        f.write_str(",{")?;
        write_joined(f, ",", &claim.labels, |f, (key, value)| {
            write_word(f, key)?;
            f.write_str(":")?;
            write_word(f, value)
        })?;
        f.write_str("}")?;
    }
    f.write_str(")")
}

impl Display for DiskInfo {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("[")?;
        if let Some(source) = &self.source {
            let (kind, root) = match source {
                DiskSource::Path { root } => ("PATH:", root),
                DiskSource::Mount { root } => ("MOUNT:", root),
            };
            f.write_str(kind)?;
            write_word(f, root)?;
            if self.persistence_id.is_some() || self.container_path.is_some() {
                f.write_str(",")?;
            }
        }
        match self.persistence_id.as_deref() {
            // Bare, these would begin a source.
            Some(id @ ("PATH" | "MOUNT")) => write_quoted(f, id)?,
            Some(id) => write_word(f, id)?,
            None => {}
        }
        if let Some(path) = &self.container_path {
            f.write_str(":")?;
            write_word(f, path)?;
        }
        f.write_str("]")
    }
}
