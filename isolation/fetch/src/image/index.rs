//! Which images are there, and which go first when room is needed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tepui_isolation::launch::User;

/// What is kept of the store between lives of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Grows with each use.
    uses: u64,
    /// By the digest of the manifest.
    pub(super) images: BTreeMap<String, Stored>,
}

/// An image that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// How it was asked for; names of registries lead to it until they are asked again.
    pub(super) names: BTreeSet<String>,
    /// The names of its layers, the topmost first.
    pub(super) layers: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: String,
    pub(super) user: Option<(String, User)>,
    /// Its last use.
    pub(super) used: u64,
}

impl Index {
    /// The image of that name or digest, which is used now.
    pub(super) fn find(&mut self, key: &str) -> Option<(String, &Stored)> {
        self.uses += 1;
        let mut all = self.images.iter_mut();
        let (digest, image) =
            all.find(|(digest, image)| *digest == key || image.names.contains(key))?;
        image.used = self.uses;
        Some((digest.clone(), image))
    }

    /// Adds an image; its name leads to no other any more.
    pub(super) fn add(&mut self, digest: &str, name: &str, image: Stored) {
        for other in self.images.values_mut() {
            other.names.remove(name);
        }
        self.uses += 1;
        let stored = self.images.entry(digest.to_owned()).or_default();
        let names = std::mem::take(&mut stored.names);
        *stored = Stored {
            names,
            used: self.uses,
            ..image
        };
        stored.names.insert(name.to_owned());
    }

    /// Takes the image away that was used least recently, unless it is in `needed`; returns its digest
    /// and the layers that no other image has.
    pub(super) fn remove_oldest(
        &mut self,
        needed: &BTreeSet<String>,
    ) -> Option<(String, Vec<String>)> {
        let free = self
            .images
            .iter()
            .filter(|(digest, _)| !needed.contains(*digest));
        let (oldest, _) = free.min_by_key(|(_, image)| image.used)?;
        let oldest = oldest.clone();
        let gone = self.images.remove(&oldest)?;
        let others: BTreeSet<&String> = self
            .images
            .values()
            .flat_map(|image| &image.layers)
            .collect();
        let layers = gone
            .layers
            .into_iter()
            .filter(|layer| !others.contains(layer));
        Some((oldest, layers.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layers: &[&str]) -> Stored {
        Stored {
            layers: layers.iter().map(|&layer| layer.to_owned()).collect(),
            ..Stored::default()
        }
    }

    #[test]
    fn the_image_used_least_recently_goes_with_its_own_layers() {
        let mut index = Index::default();
        index.add("d1", "n1", image(&["base", "one"]));
        index.add("d2", "n2", image(&["base", "two"]));
        index.add("d3", "n3", image(&["three"]));
        assert_eq!(index.find("n1").unwrap().0, "d1");
        let needed = BTreeSet::from(["d3".to_owned()]);
        assert_eq!(
            index.remove_oldest(&needed),
            Some(("d2".to_owned(), vec!["two".to_owned()]))
        );
        let gone = vec!["base".to_owned(), "one".to_owned()];
        assert_eq!(index.remove_oldest(&needed), Some(("d1".to_owned(), gone)));
        assert_eq!(index.remove_oldest(&needed), None);
    }

    #[test]
    fn a_name_leads_to_what_it_named_last() {
        let mut index = Index::default();
        index.add("d1", "n", image(&["a"]));
        index.add("d2", "n", image(&["b"]));
        assert_eq!(index.find("n").unwrap().0, "d2");
        assert_eq!(index.find("d1").unwrap().1.layers, ["a"]);
        index.add("d1", "n", image(&["a"]));
        assert_eq!(index.find("n").unwrap().0, "d1");
        assert!(index.find("none").is_none());
    }
}
