//! What the tasks of `tepui run` find when they start, by flag.

use clap::Args;
use tepui_batch::Group;
use tepui_protocol::provision::{CommandUri, ImageInfo};

/// What is got for each instance.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files and images (docs/fetcher.md, docs/images.md)")]
pub(super) struct FileFlags {
    /// A file for the sandbox of each instance, got by its agent; may be repeated. After the URI, by
    /// commas: extract, executable, cache, output=NAME, sha256=HEX
    #[arg(long = "uri", value_name = "URI[,OPTION..]", value_parser = CommandUri::parse, conflicts_with_all = ["job", "pod"])]
    uris: Vec<CommandUri>,
    /// The image that each instance runs in: oci:/PATH[:TAG] or HOST[:PORT]/NAME[:TAG]
    #[arg(long, value_name = "IMAGE", value_parser = parse_image, conflicts_with_all = ["job", "pod"])]
    image: Option<ImageInfo>,
    /// Ask the registry, also where the agent has an image of that name
    #[arg(long, requires = "image")]
    pull: bool,
}

fn parse_image(text: &str) -> Result<ImageInfo, &'static str> {
    let image = ImageInfo::new(text);
    image.check().map(|()| image)
}

impl FileFlags {
    /// Whether there is an image.
    pub(super) fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// Has a group want what the flags say. `words` are the command: in an image, a single one that the
    /// shell would leave as it is is a program, and a program goes to the image's entry point.
    pub(super) fn apply(&self, group: &mut Group, words: &[String]) {
        group.uris.clone_from(&self.uris);
        let cached = !self.pull;
        group.image = self
            .image
            .clone()
            .map(|image| ImageInfo { cached, ..image });
        let is_line = matches!(words, [line] if super::quoted(line) != *line);
        if self.has_image() && !is_line {
            group.command.clear();
            group.words = words.to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use tepui_protocol::Resources;

    use super::*;

    #[test]
    fn an_image_is_run_as_it_wants_or_with_a_program_or_a_line() {
        let flags = FileFlags {
            image: Some(ImageInfo::new("oci:/a")),
            ..FileFlags::default()
        };
        for (words, line, expected) in [
            (vec![], "", vec![]),
            (vec!["/bin/x"], "", vec!["/bin/x"]),
            (vec!["a", "b c"], "", vec!["a", "b c"]),
            (vec!["echo $A"], "echo $A", vec![]),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let mut group = Group::new("g", line, 1, Resources::new());
            flags.apply(&mut group, &words);
            assert_eq!(
                (group.command.as_str(), group.words),
                (line, expected.into_iter().map(str::to_owned).collect())
            );
        }
        let mut group = Group::new("g", "true", 1, Resources::new());
        FileFlags::default().apply(&mut group, &["true".to_owned()]);
        assert_eq!((group.command.as_str(), group.words.len()), ("true", 0));
    }
}
