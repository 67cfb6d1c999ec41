//! The JSON form of resources in the Mesos v1 API.
//!
//! Owns the conversion and its errors; `json/shape.rs` has the shape itself. The serde
//! implementations of [`Resource`] are our own wire's, and shorter.

mod shape;

use serde::Deserialize;
use serde_json::Value as Json;

use self::shape::Entry;
use super::{ParseError, Resource, Resources};

/// Why JSON is not resources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resources[{index}]: {problem}")]
pub struct JsonError {
    /// Which entry of the array is wrong, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Resources {
    /// Writes the resources as the Mesos v1 API does: an array with one object an entry.
    pub fn to_json(&self) -> Json {
        self.iter().map(Resource::to_json).collect()
    }

    /// Reads what [`Resources::to_json`] writes, and the forms that older clients of Mesos send:
    /// `role` and `reservation` instead of `reservations`. Unknown fields mean nothing.
    ///
    /// # Errors
    /// [`JsonError`] when the JSON is not an array of such objects, or has an amount, a role or a kind
    /// of disk that does not exist.
    pub fn from_json(json: &Json) -> Result<Self, JsonError> {
        let problem = "is not an array of resources".to_owned();
        let entries = json.as_array().ok_or(JsonError { index: 0, problem })?;
        let read = |(index, entry)| {
            Resource::from_json(entry).map_err(|problem| JsonError { index, problem })
        };
        entries.iter().enumerate().map(read).collect()
    }
}

/// Reads resources from a JSON text.
pub(super) fn parse(text: &str) -> Result<Resources, ParseError> {
    let error = |at: usize, problem: String, right: &str| {
        let item = text[at..].chars().take(60).collect();
        ParseError {
            text: text.to_owned(),
            item,
            at,
            problem,
            right: right.to_owned(),
        }
    };
    let json: Json = serde_json::from_str(text).map_err(|cause| {
        let at = offset_of(text, cause.line(), cause.column());
        error(
            at,
            format!("is not JSON: {cause}"),
            "write a JSON array of resource objects",
        )
    })?;
    Resources::from_json(&json).map_err(|cause| {
        let at = entry_offset(text, cause.index);
        let right = r#"write e.g. {"name":"cpus","type":"SCALAR","scalar":{"value":4}}"#;
        error(at, cause.problem, right)
    })
}

/// The byte that serde_json means by a line and column, moved back to the beginning of a character.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let offset = lines.map(str::len).sum::<usize>() + column.saturating_sub(1);
    (0..=offset.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// Where the entry `index` of a valid JSON array begins.
fn entry_offset(text: &str, index: usize) -> usize {
    let (mut depth, mut commas, mut in_string, mut escaped) = (0, 0, false, false);
    let start = text.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 1 => commas += 1,
            _ => {}
        }
        depth == 1 && commas == index
    });
    let after = start.map_or(0, |sign| sign + 1);
    after + (text[after..].len() - text[after..].trim_start().len())
}

impl Resource {
    fn to_json(&self) -> Json {
        // Strings for keys and finite numbers: there is nothing that JSON could not hold.
        serde_json::to_value(Entry::from(self)).expect("resources can be written as JSON")
    }

    fn from_json(json: &Json) -> Result<Self, String> {
        Entry::deserialize(json)
            .map_err(|error| error.to_string())?
            .try_into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resources(text: &str) -> Resources {
        Resources::parse(text).unwrap()
    }

    #[test]
    fn the_shape_is_that_of_mesos() {
        let json = json!([
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0},
             "reservations": [{"type": "STATIC", "role": "eng"}],
             "allocation_info": {"role": "eng/web"}},
            {"name": "disk", "type": "SCALAR", "scalar": {"value": 100.0}, "shared": {},
             "reservations": [{"type": "DYNAMIC", "role": "eng", "principal": "me",
                               "labels": {"labels": [{"key": "k", "value": "v"}]}}],
             "disk": {"persistence": {"id": "db"},
                      "volume": {"container_path": "data", "mode": "RW"},
                      "source": {"type": "PATH", "path": {"root": "/mnt"}}}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 0.5}, "revocable": {}},
            {"name": "ports", "type": "RANGES",
             "ranges": {"range": [{"begin": 1, "end": 2}, {"begin": 9, "end": 9}]}},
            {"name": "zones", "type": "SET", "set": {"item": ["a", "b"]}},
        ]);
        let text = "cpus(allocated:eng/web)(eng):4;mem{REV}:0.5;ports:[1-2,9];zones:{a,b};\
            disk(reservations:[(DYNAMIC,eng,me,{k:v})])[PATH:/mnt,db:data]<SHARED>:100";
        assert_eq!(Resources::from_json(&json).unwrap(), resources(text));
        assert_eq!(resources(text).to_json(), json);
        assert_eq!(
            Resources::parse(&json.to_string()).unwrap(),
            resources(text)
        );
    }

    #[test]
    fn claims_of_older_clients_are_understood() {
        let json = json!([
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "role": "*"},
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "role": "eng"},
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 3}, "role": "eng",
             "reservation": {"principal": "me"}},
        ]);
        let text = "cpus:1;cpus(eng):2;cpus(reservations:[(DYNAMIC,eng,me)]):3";
        assert_eq!(Resources::from_json(&json).unwrap(), resources(text));
    }

    #[test]
    fn ports_as_protobuf_strings_and_unknown_fields_are_taken() {
        let json = json!([{"name": "ports", "type": "RANGES", "news": [1],
            "ranges": {"range": [{"begin": "31000", "end": "32000"}]}}]);
        assert_eq!(
            Resources::from_json(&json).unwrap(),
            resources("ports:[31000-32000]")
        );
    }

    #[test]
    fn wrong_entries_are_named_with_the_reason() {
        for (entry, reason) in [
            (json!(1), "invalid type"),
            (
                json!({"name": "a", "type": "SCALAR"}),
                "\"a\" has no field `scalar`",
            ),
            (
                json!({"name": "a", "type": "TEXT"}),
                "unknown variant `TEXT`",
            ),
            (
                json!({"name": "a", "type": "SCALAR", "scalar": {"value": -1}}),
                "negative",
            ),
            (
                json!({"name": "a", "type": "SCALAR", "scalar": {"value": 1},
                    "allocation_info": {"role": "/x"}}),
                "role \"/x\"",
            ),
            (
                json!({"name": "a", "type": "RANGES",
                    "ranges": {"range": [{"begin": 2, "end": 1}]}}),
                "2-1",
            ),
            (
                json!({"name": "a", "type": "RANGES",
                    "ranges": {"range": [{"begin": "x", "end": 1}]}}),
                "\"x\"",
            ),
            (
                json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 1},
                    "disk": {"source": {"type": "BLOCK"}}}),
                "\"BLOCK\"",
            ),
            (
                json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 1},
                    "disk": {"volume": {"container_path": "x", "mode": "RO"}}}),
                "\"RO\"",
            ),
        ] {
            let good = json!({"name": "b", "type": "SET", "set": {"item": ["[,{", "\""]}});
            let json = json!([good, entry]);
            let error = Resources::from_json(&json).unwrap_err();
            assert_eq!(error.index, 1);
            assert!(error.to_string().contains(reason), "{error}");
            let text = format!("  {json}");
            let error = Resources::parse(&text).unwrap_err();
            assert_eq!(
                error.at,
                text.len() - entry.to_string().len() - 1,
                "{error}"
            );
        }
        assert!(Resources::from_json(&json!({})).is_err());
    }

    #[test]
    fn broken_json_is_located() {
        let error = Resources::parse("[{\"name\":\n ä}]").unwrap_err();
        assert!(error.to_string().contains("is not JSON"), "{error}");
        assert_eq!(error.at, 11);
        assert!(Resources::parse("[").unwrap_err().problem.contains("EOF"));
        assert!(Resources::parse(&"[".repeat(100_000)).is_err());
        assert_eq!(Resources::parse("[]").unwrap(), Resources::new());
    }
}
