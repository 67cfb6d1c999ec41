//! How a node proves who it is: the files of `--tls-ca`, `--tls-cert` and `--tls-key`, which every
//! command that talks to a cluster takes. See docs/security.md.

use std::path::PathBuf;

use clap::Args;
use tepui_runtime::transport::{Tls, TlsFiles};

use crate::cli::{BadInput, bad_input};

/// Where a node's certificate is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Encryption")]
pub(crate) struct Security {
    /// The certificate of the cluster's authority; with --tls-cert and --tls-key, nothing is sent
    /// or taken without TLS (see `tepui certs`)
    #[arg(long, env = "TEPUI_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// This node's certificate
    #[arg(long, env = "TEPUI_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// This node's private key
    #[arg(long, env = "TEPUI_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

impl Security {
    /// The same, with what is not said taken from `other`.
    pub(crate) fn or(self, other: Security) -> Self {
        Self {
            tls_ca: self.tls_ca.or(other.tls_ca),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
        }
    }

    /// The identity, if files are named.
    ///
    /// # Errors
    /// [`BadInput`] when only some are named, or one of them is not what it should be.
    pub(crate) fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let files = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        match files.map(Clone::clone) {
            [None, None, None] => Ok(None),
            [Some(ca), Some(cert), Some(key)] => {
                let files = TlsFiles { ca, cert, key };
                Tls::from_files(&files).map(Some).map_err(bad_input)
            }
            some => {
                let names = ["--tls-ca", "--tls-cert", "--tls-key"];
                let missing: Vec<&str> = names
                    .iter()
                    .zip(&some)
                    .filter_map(|(name, file)| file.is_none().then_some(*name))
                    .collect();
                let missing = missing.join(" and ");
                Err(BadInput(format!("{missing} missing: TLS needs all three files")).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_files_is_not_enough() {
        let some = Security {
            tls_cert: Some("a.pem".into()),
            ..Security::default()
        };
        let error = some.tls().unwrap_err();
        assert_eq!(
            error.to_string(),
            "--tls-ca and --tls-key missing: TLS needs all three files"
        );
        let rest = Security {
            tls_ca: Some("/not/there/ca.pem".into()),
            tls_cert: Some("other.pem".into()),
            tls_key: Some("a.key".into()),
        };
        let all = some.or(rest);
        assert_eq!(all.tls_cert, Some("a.pem".into()));
        let error = all.tls().unwrap_err();
        assert!(error.is::<BadInput>());
        assert!(
            error
                .to_string()
                .starts_with("/not/there/ca.pem cannot be read"),
            "{error}"
        );
        assert!(Security::default().tls().unwrap().is_none());
    }
}
