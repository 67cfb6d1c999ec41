//! An image as it lies on this machine, and what becomes of a command in it.
//!
//! Owns the data and the merging; images come here by `tepui-fetch`, and are mounted by the launcher
//! (`launch/root.rs`) as `isolators/filesystem.rs` tells it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use tepui_protocol::CommandInfo;

use crate::launch::{Overlay, User};

/// An image for one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// As it was asked for.
    pub name: String,
    /// Its layers, and the container's own on top of them.
    pub overlay: Overlay,
    /// The program that it runs, with its first arguments.
    pub entrypoint: Vec<String>,
    /// The further arguments, or the command without an entry point.
    pub arguments: Vec<String>,
    /// Variables of its processes.
    pub environment: BTreeMap<String, String>,
    /// Where they begin; in the sandbox where absent.
    pub directory: Option<PathBuf>,
    /// Whom they run as, by its own files of users, with the name.
    pub user: Option<(String, User)>,
}

impl Image {
    /// What a command means in this image: a line for the shell and a program are as they are; without
    /// either it is the image's own, with other arguments if there are any.
    //= mesos, docker/runtime: how a command goes with Entrypoint and Cmd
    pub fn command(&self, command: &CommandInfo) -> CommandInfo {
        if command.shell || !command.value.is_empty() {
            return command.clone();
        }
        let given = match command.arguments.is_empty() {
            true => &self.arguments,
            false => &command.arguments,
        };
        let arguments = [&self.entrypoint[..], given].concat();
        CommandInfo {
            value: arguments.first().cloned().unwrap_or_default(),
            arguments,
            ..command.clone()
        }
    }

    /// As text, for another process of this program.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("names and numbers can be written as JSON")
    }

    /// Reads what [`Image::to_text`] wrote.
    ///
    /// # Errors
    /// A text for people.
    pub fn from_text(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_goes_with_what_the_image_runs() {
        for (entrypoint, arguments, given, expected) in [
            ("/entry", "a b", "", "/entry a b"),
            ("/entry x", "a b", "c", "/entry x c"),
            ("", "prog a", "", "prog a"),
            ("", "prog a", "other b", "other b"),
            ("", "", "", ""),
        ] {
            let image = Image {
                entrypoint: words(entrypoint),
                arguments: words(arguments),
                ..Image::default()
            };
            let command = CommandInfo {
                shell: false,
                arguments: words(given),
                ..CommandInfo::default()
            };
            let merged = image.command(&command);
            assert_eq!(merged.arguments, words(expected));
            assert_eq!(
                merged.value,
                words(expected).first().cloned().unwrap_or_default()
            );
            let line = CommandInfo::shell("echo hello");
            assert_eq!(image.command(&line), line);
            let program = CommandInfo {
                value: "/bin/x".to_owned(),
                ..command
            };
            assert_eq!(image.command(&program), program);
            assert_eq!(Image::from_text(&image.to_text()), Ok(image));
        }
    }
}
