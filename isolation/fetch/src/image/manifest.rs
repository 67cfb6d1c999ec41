//! What an image says of itself: index, manifest and configuration, as OCI and Docker write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::{digest, error::Problem};

/// Names of tags in an index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A blob, by its digest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default, deserialize_with = "nullable")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// Several images, or one for each kind of machine.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Index {
    manifests: Vec<Descriptor>,
}

/// One image.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// The lowest first.
    pub(crate) layers: Vec<Descriptor>,
}

/// How it is run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) config: Run,
    pub(crate) rootfs: RootFs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Run {
    #[serde(deserialize_with = "nullable")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) cmd: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) working_dir: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) user: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RootFs {
    /// The digests of the layers, uncompressed; the lowest first.
    pub(crate) diff_ids: Vec<String>,
}

/// What may be `null` where nothing is meant.
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The hexadecimal digits of `sha256:..`, which are a file name.
pub(crate) fn hex(digest: &str) -> Result<&str, Problem> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    match hex.len() == 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        true => Ok(hex),
        false => Err(Problem::Refused(format!("{digest:?} is no sha256 digest"))),
    }
}

/// Reads what has that digest.
pub(crate) fn read<T: DeserializeOwned>(
    bytes: &[u8],
    wanted: &str,
    what: &str,
) -> Result<T, Problem> {
    digest::check(&digest::of(bytes), hex(wanted)?)?;
    plain(bytes, what)
}

/// Reads what has no digest.
pub(crate) fn plain<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::Refused(format!("its {what} cannot be read: {error}")))
}

/// Whether this is an index and not a manifest.
pub(crate) fn is_index(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Index>(bytes).is_ok()
}

impl Index {
    /// The image of that tag; without one the latest, or the only one.
    pub(crate) fn tagged(&self, tag: Option<&str>) -> Result<&Descriptor, Problem> {
        let name = |descriptor: &Descriptor| descriptor.annotations.get(REF_NAME).cloned();
        let wanted = tag.unwrap_or("latest");
        let mut all = self.manifests.iter();
        let found = all.find(|descriptor| name(descriptor).as_deref() == Some(wanted));
        match (found, &self.manifests[..]) {
            (Some(found), _) => Ok(found),
            (None, [only]) if tag.is_none() => Ok(only),
            _ => {
                let tags: Vec<String> = self.manifests.iter().filter_map(name).collect();
                let tags = if tags.is_empty() {
                    "none".to_owned()
                } else {
                    tags.join(", ")
                };
                Err(Problem::Refused(format!(
                    "there is no tag {wanted:?}; there are: {tags}"
                )))
            }
        }
    }

    /// The image for this kind of machine.
    pub(crate) fn of_machine(&self) -> Result<&Descriptor, Problem> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits = |descriptor: &&Descriptor| {
            let platform = descriptor.platform.as_ref();
            platform.is_none_or(|p| p.os == "linux" && p.architecture == architecture)
        };
        let none = || Problem::Refused(format!("it has nothing for linux/{architecture}"));
        self.manifests.iter().find(fits).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Index {
        plain(text.as_bytes(), "index").unwrap()
    }

    #[test]
    fn an_image_is_found_by_its_tag_or_machine() {
        let one = r#"{"digest":"sha256:1","size":1,"annotations":{"org.opencontainers.image.ref.name":"a"}}"#;
        let two = r#"{"digest":"sha256:2","size":1,"annotations":null,"platform":{"os":"linux","architecture":"none"}}"#;
        let both = index(&format!(r#"{{"manifests":[{two},{one}]}}"#));
        assert_eq!(both.tagged(Some("a")).unwrap().digest, "sha256:1");
        let error = both.tagged(None).unwrap_err().to_string();
        assert_eq!(error, "there is no tag \"latest\"; there are: a");
        assert_eq!(both.of_machine().unwrap().digest, "sha256:1");
        let single = index(&format!(r#"{{"manifests":[{two}]}}"#));
        assert_eq!(single.tagged(None).unwrap().digest, "sha256:2");
        assert!(single.tagged(Some("a")).is_err() && single.of_machine().is_err());
    }

    #[test]
    fn what_is_null_is_nothing() {
        let text = r#"{"config":{"Env":null,"Cmd":["a"],"User":""},"rootfs":{"diff_ids":[]}}"#;
        let config: Config = plain(text.as_bytes(), "configuration").unwrap();
        assert_eq!((config.config.env.len(), config.config.cmd.len()), (0, 1));
        let none: Config = plain(
            br#"{"config":null,"rootfs":{"diff_ids":[]}}"#,
            "configuration",
        )
        .unwrap();
        assert!(none.config.entrypoint.is_empty());
        assert!(hex("sha256:../../x").is_err() && hex("sha512:00").is_err());
        assert!(
            read::<Config>(text.as_bytes(), &format!("sha256:{}", "0".repeat(64)), "x").is_err()
        );
    }
}
