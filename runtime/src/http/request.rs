//! A request as a handler gets it: whole, and within the node's bounds.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde::de::DeserializeOwned;

use super::HttpError;

/// A request to an actor.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) from: String,
}

impl HttpRequest {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path below the actor, decoded; it begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands in the path where the route has `{name}`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }

    /// The first value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// The parameter `name` of the path, or else of the query, as a `T`.
    ///
    /// # Errors
    /// 400 when it is missing or is no `T`.
    pub fn get<T>(&self, name: &str) -> Result<T, HttpError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.parameter(name).or_else(|| self.query(name));
        let text = text.ok_or_else(|| {
            HttpError::bad_request(format!("parameter `{name}` is missing"))
                .fix(format!("add ?{name}=... to the URL"))
        })?;
        text.parse().map_err(|problem| {
            HttpError::bad_request(format!("parameter `{name}` = {text:?}: {problem}"))
        })
    }

    /// A header's value, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub fn text(&self) -> Result<&str, HttpError> {
        std::str::from_utf8(&self.body)
            .map_err(|problem| HttpError::bad_request(format!("the body is not text: {problem}")))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// 400 with the line and column of what is wrong.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body)
            .map_err(|problem| HttpError::bad_request(format!("the body: {problem}")))
    }

    /// Where it comes from, as the transport names it.
    pub fn from(&self) -> &str {
        &self.from
    }
}

/// Method and path.
impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(key, _)| key == name)?;
    Some(&pair.1)
}

/// `a=1&b=two+words` as pairs.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            (decode(key), decode(value))
        })
        .collect()
}

/// `%2F` is `/`; what is no such escape stays, what is no UTF-8 is replaced.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .filter(|digits| bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        let cases = [
            ("a%2Fb", "a/b"),
            ("%c3%a9", "é"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz%+1"),
            ("%ff", "\u{fffd}"),
        ];
        for (text, decoded) in cases {
            assert_eq!(percent_decode(text), decoded, "{text}");
        }
    }

    #[test]
    fn a_query_is_a_list_of_pairs() {
        let pairs = parse_query("a=1&b=two+words%21&&c&a=2&=x");
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
        let expected = [
            ("a", "1"),
            ("b", "two words!"),
            ("c", ""),
            ("a", "2"),
            ("", "x"),
        ];
        assert_eq!(pairs, expected);
    }
}
