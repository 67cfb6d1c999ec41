//! Reading a document with the place of everything, and exact numbers.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use serde_json::{Number, Value};

use super::limits;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Problem {
    /// As `cases[3].users[0].demand[1]`.
    pub place: String,
    /// What is wrong there, and what to write.
    pub what: String,
}

/// A part of a document and its place.
#[derive(Clone, Debug)]
pub(super) struct Input<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Input<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self {
            value,
            place: String::new(),
        }
    }

    pub(super) fn problem(&self, what: impl Into<String>) -> Problem {
        let place = match self.place.as_str() {
            "" => "the document".to_owned(),
            place => place.to_owned(),
        };
        Problem {
            place,
            what: what.into(),
        }
    }

    fn inside(&self, name: &str) -> String {
        match self.place.as_str() {
            "" => name.to_owned(),
            place => format!("{place}.{name}"),
        }
    }

    /// A field that may be left out or null.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Input<'a>>, Problem> {
        let Value::Object(fields) = self.value else {
            return Err(self.problem("must be an object"));
        };
        let value = fields.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| Input {
            value,
            place: self.inside(name),
        }))
    }

    pub(super) fn field(&self, name: &str) -> Result<Input<'a>, Problem> {
        self.optional(name)?
            .ok_or_else(|| self.problem(format!("{name:?} is missing")))
    }

    /// The entries of a list of at most `limit`.
    pub(super) fn list(&self, limit: usize) -> Result<Vec<Input<'a>>, Problem> {
        let Value::Array(values) = self.value else {
            return Err(self.problem("must be a list"));
        };
        if values.len() > limit {
            let what = format!("{} entries are more than {limit}", values.len());
            return Err(self.problem(what));
        }
        let entry = |(at, value)| Input {
            value,
            place: format!("{}[{at}]", self.place),
        };
        Ok(values.iter().enumerate().map(entry).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        self.value
            .as_str()
            .ok_or_else(|| self.problem("must be a text"))
    }

    /// A number >= 0.
    pub(super) fn number(&self) -> Result<BigRational, Problem> {
        let number = match self.value {
            Value::Number(number) => decimal(&number.to_string()),
            Value::String(text) => fraction(text),
            _ => None,
        };
        let wanted = || {
            let given = self.value.to_string();
            let shown: String = given.chars().take(60).collect();
            self.problem(format!("{shown} is not a number; write 2, 0.5 or \"1/3\""))
        };
        let number = number.ok_or_else(wanted)?;
        match number.is_negative() {
            true => Err(self.problem(format!("{number} is negative"))),
            false => Ok(number),
        }
    }

    /// A number > 0.
    pub(super) fn positive(&self) -> Result<BigRational, Problem> {
        let number = self.number()?;
        match number.is_zero() {
            true => Err(self.problem("must be greater than 0")),
            false => Ok(number),
        }
    }

    /// As many numbers >= 0 as there are resources.
    pub(super) fn vector(&self, resources: usize) -> Result<Vec<BigRational>, Problem> {
        let entries = self.list(limits::RESOURCES)?;
        if entries.len() != resources {
            let what = format!("{} numbers for {resources} resources", entries.len());
            return Err(self.problem(what));
        }
        entries.iter().map(Input::number).collect()
    }
}

/// `-12.5e3`, exactly.
fn decimal(text: &str) -> Option<BigRational> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.checked_sub(i32::try_from(places.len()).ok()?)?;
    if whole.len() + places.len() > limits::DIGITS
        || exponent.unsigned_abs() as usize > limits::DIGITS
    {
        return None;
    }
    let digits: BigInt = format!("{whole}{places}").parse().ok()?;
    let ten = BigRational::from_integer(BigInt::from(10));
    Some(BigRational::from_integer(digits) * ten.pow(exponent))
}

/// `p/q`, or a decimal as text.
fn fraction(text: &str) -> Option<BigRational> {
    let Some((above, below)) = text.split_once('/') else {
        return decimal(text);
    };
    let (above, below) = (decimal(above)?, decimal(below)?);
    (!below.is_zero()).then(|| above / below)
}

/// An integer as a number, a fraction as a text `p/q`.
pub(super) fn answer(number: &BigRational) -> Value {
    let whole = number.is_integer().then(|| number.to_integer().to_i64());
    match whole.flatten() {
        Some(whole) => Value::Number(Number::from(whole)),
        None => Value::String(number.to_string()),
    }
}
