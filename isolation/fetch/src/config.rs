//! Settings of fetching, for all tasks of an agent.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;

/// What fetching may take. Sizes are in MiB, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchConfig {
    /// How much the cache keeps; 0: nothing.
    pub cache_mib: u64,
    /// The largest file that is fetched.
    pub file_mib_max: u64,
    /// The most that one archive may hold.
    pub extracted_mib_max: u64,
    /// The most files, directories and links in one archive.
    pub extracted_files_max: u64,
    /// A server that sends nothing for so long is given up.
    pub stall_timeout: f64,
    /// Certificates of the authorities that HTTPS servers are believed by, in PEM; those of the machine
    /// where absent.
    pub ca_file: Option<PathBuf>,
    /// Who one is at registries, as Docker's `config.json` has it.
    pub registry_credentials: Option<PathBuf>,
    /// Registries that speak HTTP, as `host:port`, beside those on this machine.
    pub insecure_registries: Vec<String>,
    /// Images that nobody uses are removed when more of the disk than this is in use, from 0 to 1.
    pub image_disk_max: f64,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            //= mesos, fetcher_cache_size: 2 GB
            cache_mib: 2048,
            file_mib_max: 16 << 10,
            extracted_mib_max: 64 << 10,
            extracted_files_max: 1_000_000,
            //= mesos, fetcher_stall_timeout: 1 min
            stall_timeout: 60.0,
            ca_file: None,
            registry_credentials: None,
            insecure_registries: Vec::new(),
            image_disk_max: 0.9,
        }
    }
}

impl FetchConfig {
    /// Checks that the numbers can be meant.
    ///
    /// # Errors
    /// A text for people that begins with the key.
    pub fn validate(&self) -> Result<(), String> {
        let stall = self.stall_timeout;
        if !(stall.is_finite() && stall > 0.0 && stall < 1e9) {
            return Err(format!("stall_timeout = {stall}: must be a number > 0"));
        }
        let share = self.image_disk_max;
        if !(0.0..=1.0).contains(&share) {
            return Err(format!(
                "image_disk_max = {share}: must be a number from 0 to 1"
            ));
        }
        Ok(())
    }

    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache_mib.saturating_mul(MIB)
    }

    pub(crate) fn file_bytes_max(&self) -> u64 {
        self.file_mib_max.saturating_mul(MIB)
    }

    pub(crate) fn extracted_bytes_max(&self) -> u64 {
        self.extracted_mib_max.saturating_mul(MIB)
    }

    pub(crate) fn stall(&self) -> Duration {
        Duration::try_from_secs_f64(self.stall_timeout).unwrap_or(Duration::from_secs(60))
    }
}
