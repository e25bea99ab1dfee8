use std::collections::{BTreeMap, BTreeSet};

/// A file as the app lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppFile {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Rises with every replacement of the bytes.
    pub(crate) version: u64,
    pub(crate) size: usize,
}

/// A document as the viewer service lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceDocument {
    pub(crate) id: String,
    pub(crate) title: String,
}

/// Tells what happened to each upload, from what the app and the viewer service list: it looks at
/// Transom from outside, as a doubting operator would. Same-named uploads are told apart by their order.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    versions: BTreeMap<u64, u64>,
    documents: BTreeSet<String>,
    /// Uploads that the service does not list yet, oldest first, with the looks since.
    waiting: Vec<(AppFile, u32)>,
}

impl Watch {
    /// Compares with the last look; one line per event.
    pub(crate) fn look(&mut self, files: &[AppFile], documents: &[ServiceDocument]) -> Vec<String> {
        let mut lines = Vec::new();
        self.see_app(files, &mut lines);
        self.see_service(documents, &mut lines);
        for (file, looks) in &mut self.waiting {
            *looks += 1;
            if *looks == PATIENCE {
                lines.push(format!("{} is still not at the viewer service", label(file)));
            }
        }
        lines
    }

    fn see_app(&mut self, files: &[AppFile], lines: &mut Vec<String>) {
        for file in files {
            let known = self.versions.insert(file.id, file.version);
            if known == Some(file.version) {
                continue;
            }
            let what = if known.is_some() { "replaced" } else { "uploaded" };
            let (label, owner, size) = (label(file), &file.owner, file.size);
            lines.push(format!("{label} {what} by {owner}: the app has its {size} bytes"));
            self.waiting.push((file.clone(), 0));
        }
        let there = |id: u64| files.iter().any(|file| file.id == id);
        self.versions.retain(|id, _| {
            let there = there(*id);
            if !there {
                lines.push(format!("files/{id} deleted in the app"));
            }
            there
        });
        self.waiting.retain(|(file, _)| there(file.id));
    }

    fn see_service(&mut self, documents: &[ServiceDocument], lines: &mut Vec<String>) {
        for document in documents {
            if !self.documents.insert(document.id.clone()) {
                continue;
            }
            let id = &document.id;
            let upload = self.waiting.iter().position(|(file, _)| file.name == document.title);
            match upload.map(|at| self.waiting.remove(at)) {
                Some((file, _)) => {
                    lines.push(format!("{} delivered to the viewer service: {id}", label(&file)));
                }
                None => lines.push(format!("the viewer service has a new document {id}")),
            }
        }
        self.documents.retain(|id| {
            let listed = documents.iter().any(|document| document.id == *id);
            if !listed {
                lines.push(format!("{id} removed from the viewer service"));
            }
            listed
        });
    }
}

fn label(file: &AppFile) -> String {
    format!("files/{} {:?}", file.id, file.name)
}

/// Looks without news before an upload is called late.
const PATIENCE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64, version: u64) -> AppFile {
        AppFile { id, name: "a.pdf".into(), owner: "ann".into(), version, size: 9 }
    }

    fn document(id: &str) -> ServiceDocument {
        ServiceDocument { id: id.into(), title: "a.pdf".into() }
    }

    #[test]
    fn tells_an_upload_from_its_first_to_its_last_day() {
        let mut watch = Watch::default();
        let uploaded = ["files/1 \"a.pdf\" uploaded by ann: the app has its 9 bytes"];
        assert_eq!(watch.look(&[file(1, 1)], &[]), uploaded);
        assert_eq!(watch.look(&[file(1, 1)], &[]), [""; 0]);
        let delivered = ["files/1 \"a.pdf\" delivered to the viewer service: D1"];
        assert_eq!(watch.look(&[file(1, 1)], &[document("D1")]), delivered);
        let replaced = watch.look(&[file(1, 2)], &[document("D2")]);
        assert_eq!(
            replaced,
            [
                "files/1 \"a.pdf\" replaced by ann: the app has its 9 bytes",
                "files/1 \"a.pdf\" delivered to the viewer service: D2",
                "D1 removed from the viewer service",
            ]
        );
        let deleted = ["files/1 deleted in the app", "D2 removed from the viewer service"];
        assert_eq!(watch.look(&[], &[]), deleted);
    }

    #[test]
    fn says_once_that_an_upload_is_late() {
        let mut watch = Watch::default();
        let lines: Vec<String> =
            (0..3 * PATIENCE).flat_map(|_| watch.look(&[file(1, 1)], &[])).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "files/1 \"a.pdf\" is still not at the viewer service");
    }
}
