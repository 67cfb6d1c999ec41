//! This process's terminal while a command elsewhere uses it: each key goes there as it is.

use std::io::{self, IsTerminal as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tepui_protocol::WindowSize;

/// A terminal as it was found; it is that way again when this is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    found: Termios,
}

impl Terminal {
    /// That of stdin and stdout; none where these are something else.
    pub(crate) fn of_this_process() -> Option<Self> {
        let both = io::stdin().is_terminal() && io::stdout().is_terminal();
        let found = tcgetattr(io::stdin()).ok().filter(|_| both)?;
        Some(Self { found })
    }

    /// From now on keys have no meaning here.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn make_raw(&self) -> io::Result<()> {
        let mut raw = self.found.clone();
        raw.make_raw();
        Ok(tcsetattr(io::stdin(), OptionalActions::Now, &raw)?)
    }

    /// How large its window is now.
    pub(crate) fn size(&self) -> WindowSize {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => WindowSize {
                rows: size.ws_row,
                columns: size.ws_col,
            },
            _ => WindowSize::default(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Without it, there is nothing to give back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.found);
    }
}
