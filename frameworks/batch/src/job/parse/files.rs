//! Reading what a group says of the files that its instances want, and of their image.

use tepui_framework::protocol::provision::{CommandUri, ImageInfo};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Problem, at, bad, check_keys, find, kind, text_of};

const KEYS: [&str; 6] = [
    "value",
    "extract",
    "executable",
    "cache",
    "output",
    "sha256",
];

/// `uris`: a list of texts as those of `tepui run --uri`, or of tables.
pub(super) fn uris(table: &DeTable<'_>) -> Result<Vec<CommandUri>, Problem> {
    let Some(value) = find(table, "uris") else {
        return Ok(Vec::new());
    };
    let DeValue::Array(array) = value.get_ref() else {
        let rule = format!("uris must be a list, not {}", kind(value.get_ref()));
        return Err(at(value, rule));
    };
    array.iter().map(uri).collect()
}

/// `image`: its name.
pub(super) fn image(table: &DeTable<'_>) -> Result<Option<ImageInfo>, Problem> {
    let Some(value) = find(table, "image") else {
        return Ok(None);
    };
    let image = ImageInfo::new(text_of("image", value)?);
    image.check().map_err(|rule| bad("image", value, rule))?;
    Ok(Some(image))
}

fn uri(value: &Spanned<DeValue<'_>>) -> Result<CommandUri, Problem> {
    let DeValue::Table(table) = value.get_ref() else {
        let text = text_of("uris", value)?;
        return CommandUri::parse(text).map_err(|rule| bad("uris", value, rule));
    };
    check_keys(table, &KEYS, "uris")?;
    let text = |key| {
        find(table, key)
            .map(|value| text_of(key, value))
            .transpose()
    };
    let flag = |key| match find(table, key) {
        None => Ok(false),
        Some(value) => match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(bad(key, value, "must be true or false")),
        },
    };
    let uri = CommandUri {
        value: text("value")?.unwrap_or_default().to_owned(),
        extract: flag("extract")?,
        executable: flag("executable")?,
        cache: flag("cache")?,
        output_file: text("output")?.map(str::to_owned),
        sha256: text("sha256")?.map(str::to_owned),
    };
    match uri.check() {
        Ok(()) => Ok(uri),
        Err(rule) => Err(at(value, format!("uris: {:?}: {rule}", uri.value))),
    }
}
