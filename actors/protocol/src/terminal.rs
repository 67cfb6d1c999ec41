//! Terminals, as far as other machines need to know of them.

use serde::{Deserialize, Serialize};

/// How large a terminal's window is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

impl Default for WindowSize {
    /// What terminals had that could not be asked.
    fn default() -> Self {
        Self {
            rows: 24,
            columns: 80,
        }
    }
}
