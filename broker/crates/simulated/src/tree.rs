//! Names: what look-ups see, and what would be left of it after a power loss.
//!
//! Invariant: `unsynced` holds, for each name whose visible meaning is not durable, what is durable there. The root directory has the empty name and always exists.

use std::collections::BTreeMap;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(u32),
    Directory,
}

/// All names below the data directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    names: BTreeMap<String, Entry>,
    unsynced: BTreeMap<String, Option<Entry>>,
}

/// The directory that a name stands in.
fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Tree {
    pub(crate) fn get(&self, name: &str) -> Option<Entry> {
        if name.is_empty() {
            Some(Entry::Directory)
        } else {
            self.names.get(name).copied()
        }
    }

    /// What stands in the way of a name: nothing, or its directory's absence, or a file in its directory's place.
    pub(crate) fn directory_of(&self, name: &str) -> Option<Entry> {
        self.get(parent(name))
    }

    pub(crate) fn insert(&mut self, name: &str, entry: Entry) {
        let before = self.names.insert(name.to_owned(), entry);
        self.unsynced.entry(name.to_owned()).or_insert(before);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let before = self.names.remove(name);
        self.unsynced.entry(name.to_owned()).or_insert(before);
    }

    /// The last parts of the names in a directory, sorted.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        self.names
            .range(prefix.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(&prefix))
            .filter(|name| parent(name) == directory)
            .map(|name| name[prefix.len()..].to_owned())
            .collect()
    }

    /// Every name and its meaning.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.names.iter().map(|(name, entry)| (name.as_str(), *entry))
    }

    /// Every file that a name means or, after a power loss, might mean again; with repetitions.
    pub(crate) fn files(&self) -> impl Iterator<Item = u32> {
        self.names
            .values()
            .copied()
            .chain(self.unsynced.values().copied().flatten())
            .filter_map(|entry| match entry {
                Entry::File(inode) => Some(inode),
                Entry::Directory => None,
            })
    }

    pub(crate) fn links(&self, inode: u32) -> usize {
        self.names
            .values()
            .filter(|entry| **entry == Entry::File(inode))
            .count()
    }

    pub(crate) fn sync(&mut self, directory: &str) {
        self.unsynced.retain(|name, _| parent(name) != directory);
    }

    /// Makes one name durable as it is.
    pub(crate) fn settle(&mut self, name: &str) {
        self.unsynced.remove(name);
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The power fails: `keep` is asked once for each unsynced name. What stood in a directory that is lost is lost with it.
    pub(crate) fn power_loss(&mut self, mut keep: impl FnMut() -> bool) {
        for (name, old) in std::mem::take(&mut self.unsynced) {
            if keep() {
                continue;
            }
            match old {
                Some(old) => self.names.insert(name, old),
                None => self.names.remove(&name),
            };
        }
        // Names sort behind their directory's, so one pass meets each directory first.
        let mut kept = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut self.names) {
            if parent(&name).is_empty() || kept.get(parent(&name)) == Some(&Entry::Directory) {
                kept.insert(name, entry);
            }
        }
        self.names = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_durable_only_when_their_own_directory_was_synced() {
        let mut tree = Tree::default();
        tree.insert("a", Entry::Directory);
        tree.insert("a/x", Entry::File(1));
        tree.insert("b", Entry::File(2));
        tree.sync("a");
        assert_eq!(tree.unsynced(), 2);
        let mut lost = tree.clone();
        lost.power_loss(|| false);
        assert_eq!(lost.iter().count(), 0, "a/x stood in a directory that was never synced");
        tree.sync("");
        tree.remove("b");
        tree.insert("a/y", Entry::File(3));
        let mut lost = tree.clone();
        lost.power_loss(|| false);
        assert_eq!(
            (lost.list(""), lost.list("a")),
            (vec!["a".to_owned(), "b".to_owned()], vec!["x".to_owned()])
        );
        tree.power_loss(|| true);
        assert_eq!(
            (tree.list(""), tree.list("a")),
            (vec!["a".to_owned()], vec!["x".to_owned(), "y".to_owned()])
        );
    }

    #[test]
    fn a_listing_shows_the_directory_and_nothing_below_or_beside_it() {
        let mut tree = Tree::default();
        for name in ["a", "a/b", "a.x"] {
            tree.insert(name, Entry::Directory);
        }
        tree.insert("a/b/c", Entry::File(1));
        tree.insert("a/c", Entry::File(2));
        assert_eq!(tree.list("a"), ["b", "c"]);
        assert_eq!(tree.list(""), ["a", "a.x"]);
        assert_eq!(tree.list("a/b"), ["c"]);
    }
}
