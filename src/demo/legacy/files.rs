use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::AppFile;
use super::reply::Refused;

/// Everything stored, in memory.
#[derive(Debug, Default)]
pub(super) struct Files {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    last_id: u64,
    files: BTreeMap<u64, File>,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
    version: u64,
}

impl Files {
    pub(super) fn add(
        &self,
        owner: &str,
        name: &str,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<File, Refused> {
        let mut shelf = self.lock();
        shelf.make_room(bytes.len(), None)?;
        shelf.last_id += 1;
        let id = shelf.last_id;
        let file = File {
            id,
            owner: owner.to_owned(),
            name: plain_name(name),
            content_type: content_type.to_owned(),
            bytes,
            version: 1,
        };
        shelf.files.insert(id, file.clone());
        Ok(file)
    }

    /// The file, if it is this user's.
    pub(super) fn of(&self, user: &str, id: &str) -> Result<File, Refused> {
        let id: u64 = id.parse().map_err(|_| Refused::Missing)?;
        let file = self.lock().files.get(&id).cloned().ok_or(Refused::Missing)?;
        if file.owner == user { Ok(file) } else { Err(Refused::Forbidden) }
    }

    pub(super) fn list(&self, user: &str) -> Vec<File> {
        self.lock().files.values().filter(|file| file.owner == user).cloned().collect()
    }

    pub(super) fn replace(&self, user: &str, id: &str, bytes: Bytes) -> Result<File, Refused> {
        let id = self.of(user, id)?.id;
        let mut shelf = self.lock();
        shelf.make_room(bytes.len(), Some(id))?;
        let file = shelf.files.get_mut(&id).ok_or(Refused::Missing)?;
        file.bytes = bytes;
        file.version += 1;
        Ok(file.clone())
    }

    pub(super) fn remove(&self, user: &str, id: &str) -> Result<(), Refused> {
        let id = self.of(user, id)?.id;
        self.lock().files.remove(&id).map(drop).ok_or(Refused::Missing)
    }

    pub(super) fn all(&self) -> Vec<AppFile> {
        let summary = |file: &File| AppFile {
            id: file.id,
            name: file.name.clone(),
            owner: file.owner.clone(),
            version: file.version,
            size: file.bytes.len(),
        };
        self.lock().files.values().map(summary).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn make_room(&self, size: usize, replaced: Option<u64>) -> Result<(), Refused> {
        let others = self.files.values().filter(|file| Some(file.id) != replaced);
        let (count, used) = others.fold((0, 0), |(n, used), file| (n + 1, used + file.bytes.len()));
        if count < MAX_FILES && used + size <= MAX_BYTES { Ok(()) } else { Err(Refused::Full) }
    }
}

/// Without a path, and fit for a header.
fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

const MAX_FILES: usize = 1000;
const MAX_BYTES: usize = 512 << 20;
