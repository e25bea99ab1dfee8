//! Reads every record once after the start, while the store has nothing else to do, so that damage is found before it is
//! met.

use sled::Tree;

use super::codec::decode;
use super::sled_life::Life;
use super::sled_trees::{NameRecord, Trees};
use super::{Document, Job, StoreError};

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    tree: usize,
    after: Option<Vec<u8>>,
}

impl Scrub {
    pub(super) fn is_done(&self) -> bool {
        self.tree >= KINDS.len()
    }

    pub(super) fn gives_up(&mut self) {
        self.tree = KINDS.len();
    }

    /// Looks at the next page.
    pub(super) fn step(&mut self, trees: &Trees, life: &Life) {
        let Some(kind) = KINDS.get(self.tree) else { return };
        let tree = match *kind {
            "document" => &trees.documents,
            "name" => &trees.names,
            _ => &trees.jobs,
        };
        let start = self.after.take().map(|mut key| {
            key.push(0);
            key
        });
        let (last, damaged) = look(trees, kind, tree, start.unwrap_or_default());
        damaged.into_iter().for_each(|what| life.damaged(what));
        if last.is_none() {
            self.tree += 1;
        }
        self.after = last;
    }
}

/// The last key of the page, unless there is nothing after it that can be read, and what is damaged.
pub(super) fn look(
    trees: &Trees,
    kind: &'static str,
    tree: &Tree,
    start: Vec<u8>,
) -> (Option<Vec<u8>>, Vec<String>) {
    let (mut last, mut count, mut damaged) = (None, 0, Vec::new());
    for entry in tree.range(start..).take(PAGE) {
        let (key, record) = match entry {
            Ok(entry) => entry,
            Err(error) => {
                damaged.push(format!("records of kind {kind} can't be read ({error})"));
                return (None, damaged);
            }
        };
        let shown = shown(kind, &key);
        let sound = match kind {
            "document" => decode::<Document>(kind, &record).map(|_| true),
            "name" => decode::<NameRecord>(kind, &record).map(|name| {
                trees.documents.contains_key(name.document.to_be_bytes()).unwrap_or(false)
            }),
            _ => decode::<Job>(kind, &record).map(|_| true),
        };
        match sound {
            Ok(true) => {}
            Ok(false) => damaged.push(format!("the {kind} {shown} points at no document")),
            Err(StoreError::Corrupt(_)) => damaged.push(format!("the {kind} {shown} is damaged")),
            Err(error) => damaged.push(format!("the {kind} {shown} can't be read ({error})")),
        }
        count += 1;
        last = Some(key.to_vec());
    }
    (last.filter(|_| count == PAGE), damaged)
}

/// A key as an operator knows it.
pub(super) fn shown(kind: &str, key: &[u8]) -> String {
    match (kind, <[u8; 8]>::try_from(key)) {
        ("job", Ok(id)) => u64::from_be_bytes(id).to_string(),
        ("document", _) => key.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => String::from_utf8_lossy(key).replace(char::is_control, "/"),
    }
}

pub(super) const KINDS: [&str; 3] = ["document", "name", "job"];
const PAGE: usize = 500;
/// Damaged records that are named.
pub(super) const MAX_NAMED: usize = 100;
