//! Gets what tasks need onto a machine before they start: files by URI, and images.
//!
//! Owns the transfer, the check of what came, the cache, and how archives are opened without leaving
//! their directory. It knows no actor and no message; the agent calls it on a thread of its own.
//!
//! ```text
//!  CommandUri --Fetcher--> cache? --no--> source (http, file) --digest, size--> file of the cache
//!                            |                                                     |
//!                            +--yes--------------------> sandbox <--place, extract-+
//! ```
//! | question | file |
//! |---|---|
//! | what is done with the URIs of a command, in order? | [`fetcher`] |
//! | where does an image come from, and where does it lie? | [`image`] |
//! | how does a file come here? | `source.rs`, `http.rs` |
//! | what is kept for later, and what has to go? | `cache.rs` |
//! | how is an archive opened safely? | `archive.rs`, `archive/tree.rs` |
//! | how far is it, and how is it given up? | [`work`] |

mod archive;
mod cache;
pub mod config;
mod digest;
pub mod error;
pub mod fetcher;
mod http;
pub mod image;
mod source;
pub mod work;

pub use config::FetchConfig;
pub use error::{FetchError, Problem};
pub use fetcher::{Fetcher, Place};
pub use image::Images;
pub use work::Work;
