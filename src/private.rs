//! Folders and files that nobody but the user of this process may read, whatever the umask.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes `dir`, and what of its way is missing, with mode 0700. One that is there already is tightened to that; where
/// this can't be done it is warned about, and goes on being used.
///
/// # Errors
/// It can't be made.
pub(crate) fn folder(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    tighten(dir);
    Ok(())
}

/// Tightens what is in `dir`, which may be made by others than us: files to 0600, folders to 0700.
pub(crate) fn content(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        // Links lead elsewhere.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        tighten(&path);
        if kind.is_dir() {
            content(&path);
        }
    }
}

/// A file of mode 0600, empty.
///
/// # Errors
/// It can't be made.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file without a name, which goes with its handle.
///
/// # Errors
/// The system's folder for such files can't be written.
pub(crate) fn scratch() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("transom-{:032x}", crate::random::u128()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    // The open file stays readable; its name is needed no more.
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(unix)]
fn tighten(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    // What is gone by now needs nothing.
    let Ok(found) = fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o7777;
    let wanted = if found.is_dir() { 0o700 } else { 0o600 };
    if mode & 0o077 == 0 {
        return;
    }
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(wanted)) {
        tracing::warn!(
            path = %path.display(),
            %error,
            "others can get at this (mode {mode:o}), and Transom may not change that; chmod it to {wanted:o}"
        );
    }
}

#[cfg(not(unix))]
fn tighten(_: &Path) {}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_are_for_their_owner_alone_old_ones_too() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, old) = (dir.path().join("a/b"), dir.path().join("old"));
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
        for made in [&fresh, &old] {
            folder(made).unwrap();
            assert_eq!(mode(made), 0o700);
        }
        assert_eq!(mode(&dir.path().join("a")), 0o700);
    }

    #[test]
    fn and_so_is_what_others_put_there() {
        let dir = tempfile::tempdir().unwrap();
        let (file, deep) = (dir.path().join("db"), dir.path().join("blobs"));
        fs::create_dir(&deep).unwrap();
        for path in [&file, &deep.join("1")] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
        content(dir.path());
        assert_eq!([&file, &deep, &deep.join("1")].map(|path| mode(path)), [0o600, 0o700, 0o600]);
    }
}
