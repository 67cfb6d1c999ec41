//! Short notation for amounts in tables: `2/1024` is 2 cpus and 1024 MiB of memory; anything else is
//! the text form of resources, with blanks between the items (`1/512 gpus:1 cpus(role1):4`).

use tepui_protocol::Resources;

/// The sum of all `words`.
pub(crate) fn resources<'a>(words: impl IntoIterator<Item = &'a str>) -> Resources {
    let one = |word: &str| {
        Resources::parse(&items(word)).unwrap_or_else(|error| panic!("{word}: {error}"))
    };
    words
        .into_iter()
        .map(one)
        .fold(Resources::new(), |sum, more| sum + &more)
}

/// A word in the text form of resources.
pub(crate) fn items(word: &str) -> String {
    match word.split_once('/') {
        Some((cpus, mem)) if word.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("cpus:{cpus};mem:{mem}")
        }
        _ => word.to_owned(),
    }
}
