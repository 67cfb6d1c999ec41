//! Registries, by the distribution protocol of OCI and Docker (version 2).
//!
//! HTTPS, but for registries on this machine and those that the operator names. Who one is comes from a
//! file in the form of Docker's `config.json`, and is told to the registry and its token server alone.

use std::fs::{self, File};

use hyper::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{layout::TEXT_MAX, manifest::Descriptor};
use crate::{
    config::FetchConfig,
    error::{Problem, size},
    http::{Answer, Client, Fields},
    source,
    work::Work,
};

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// One repository of a registry.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    client: &'a Client,
    config: &'a FetchConfig,
    name: &'a str,
    base: String,
    /// `Basic ...`, from the file of the operator.
    credentials: Option<HeaderValue>,
    /// What the registry is shown.
    shown: Mutex<Option<HeaderValue>>,
}

/// Docker's `config.json`, as far as it is of interest.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    auths: std::collections::BTreeMap<String, Auth>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    /// `user:password` in base64.
    auth: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl<'a> Registry<'a> {
    pub(super) fn new(
        client: &'a Client,
        config: &'a FetchConfig,
        host: &str,
        name: &'a str,
    ) -> Result<Self, Problem> {
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&bare);
        let is_plain = is_here || config.insecure_registries.iter().any(|named| named == host);
        let scheme = if is_plain { "http" } else { "https" };
        Ok(Self {
            client,
            config,
            name,
            base: format!("{scheme}://{host}/v2/{name}"),
            credentials: credentials(config, host)?,
            shown: Mutex::default(),
        })
    }

    /// The manifest or index of a tag or digest.
    pub(super) async fn manifest(&self, version: &str) -> Result<Vec<u8>, Problem> {
        let url = format!("{}/manifests/{version}", self.base);
        let answer = self
            .ask(&url, &vec![(ACCEPT, HeaderValue::from_static(MANIFESTS))])
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Problem::Refused(format!(
                "the registry has no {}:{version}",
                self.name
            )));
        }
        whole(answer.ok()?).await
    }

    /// A small blob.
    pub(super) async fn text(&self, digest: &str) -> Result<Vec<u8>, Problem> {
        whole(self.blob(digest).await?).await
    }

    /// Writes a blob into `file`; its digest is for the caller to check.
    pub(super) async fn download(
        &self,
        blob: &Descriptor,
        file: &mut File,
        work: &Work,
    ) -> Result<(), Problem> {
        let limit = self.config.file_bytes_max();
        if blob.size > limit {
            return Err(Problem::TooMuch {
                what: "the limit for a file",
                limit: size(limit),
            });
        }
        let mut answer = self.blob(&blob.digest).await?;
        source::receive(&mut answer, file, blob.size, work)
            .await
            .map(drop)
    }

    async fn blob(&self, digest: &str) -> Result<Answer, Problem> {
        let url = format!("{}/blobs/{digest}", self.base);
        self.ask(&url, &Vec::new()).await?.ok()
    }

    /// Asks, and says who one is when the registry wants to know.
    async fn ask(&self, url: &str, fields: &Fields) -> Result<Answer, Problem> {
        let mut shown = self.shown.lock().await;
        let secret = |shown: &Option<HeaderValue>| -> Fields {
            shown
                .iter()
                .map(|value| (AUTHORIZATION, value.clone()))
                .collect()
        };
        let answer = self.client.get(url, fields, &secret(&shown)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenge = answer.headers.get(WWW_AUTHENTICATE);
        let challenge = challenge
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let known = match challenge.split_once(' ') {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("bearer") => {
                Some(self.token(rest).await?)
            }
            _ => self.credentials.clone(),
        };
        let Some(known) = known else {
            return Err(Problem::Refused(
                "the registry wants to know who asks; see registry_credentials".to_owned(),
            ));
        };
        *shown = Some(known);
        let answer = self.client.get(url, fields, &secret(&shown)).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Problem::Refused(
                "the registry does not let this agent have it; see registry_credentials".to_owned(),
            )),
            _ => Ok(answer),
        }
    }

    /// A token of the server that the registry names.
    async fn token(&self, challenge: &str) -> Result<HeaderValue, Problem> {
        let parts: Vec<(&str, &str)> = challenge
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .map(|(key, value)| (key, value.trim_matches('"')))
            .collect();
        let value = |key: &str| parts.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let realm = value("realm").unwrap_or_default();
        let service = value("service").unwrap_or_default();
        let name = self.name;
        let mark = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{mark}service={service}&scope=repository:{name}:pull");
        // What opens the registry is not sent in the open to anybody.
        let is_safe = url.starts_with("https://") || self.base.starts_with("http://");
        let known = self.credentials.iter().filter(|_| is_safe);
        let secret: Fields = known.map(|known| (AUTHORIZATION, known.clone())).collect();
        let answer = self.client.get(&url, &Vec::new(), &secret).await?.ok()?;
        let token: Token = super::manifest::plain(&whole(answer).await?, "registry's token")?;
        let shown = HeaderValue::try_from(format!("Bearer {}", token.token));
        shown.map_err(|_| Problem::Refused("the registry's token has odd characters".to_owned()))
    }
}

async fn whole(mut answer: Answer) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = answer.piece().await? {
        text.extend_from_slice(&piece);
        if text.len() as u64 > TEXT_MAX {
            return Err(Problem::TooMuch {
                what: "the limit for what describes an image",
                limit: size(TEXT_MAX),
            });
        }
    }
    Ok(text)
}

fn credentials(config: &FetchConfig, host: &str) -> Result<Option<HeaderValue>, Problem> {
    let Some(path) = &config.registry_credentials else {
        return Ok(None);
    };
    let text = fs::read(path).map_err(Problem::file("read", path))?;
    let all: Credentials = serde_json::from_slice(&text)
        .map_err(|error| Problem::Refused(format!("{}: {error}", path.display())))?;
    let Some(auth) = all.auths.get(host).filter(|auth| !auth.auth.is_empty()) else {
        return Ok(None);
    };
    let value = HeaderValue::try_from(format!("Basic {}", auth.auth));
    let odd = |_| Problem::Refused(format!("{}: odd characters for {host}", path.display()));
    value.map(Some).map_err(odd)
}
