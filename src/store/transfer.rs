//! Mappings as JSON lines: the way out of a store, and into another one.
//!
//! The first line is a [`Header`], every other one a name with its document. Names that share one carry its own id. The field names are a contract of
//! their own, apart from how records rest on disk.

use std::collections::HashMap;
#[cfg(any(test, feature = "cli"))]
use std::io::Write;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Applied, Batch, DocId, Document, DocumentState, DocumentStore, Doubt, JobId, Mapping,
    Provenance, StoreError, Validators,
};
use crate::document::DocumentKey;

/// Writes every mapping. `progress` is told after each page how many there are and how many are
/// done, and by which [`Pass`]. Returns how many were still on their way to DWS: an import leaves those out.
#[cfg(any(test, feature = "cli"))]
pub(crate) async fn export(
    store: &dyn DocumentStore,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Pass, u64, u64),
) -> Result<Exported, TransferError> {
    let count = count(store).await?;
    write_line(out, &Header::new(count))?;
    let mut exported = Exported::default();
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for mapping in page {
            exported.mappings += 1;
            exported.pending += u64::from(waits(&mapping));
            write_line(out, &Line::from(mapping))?;
        }
        progress(Pass::Writing, count, exported.mappings);
    }
    out.flush()?;
    Ok(exported)
}

/// The first line of an export, with its end.
pub(crate) async fn header(store: &dyn DocumentStore) -> Result<String, StoreError> {
    let header = serde_json::to_string(&Header::new(count(store).await?));
    Ok(header.unwrap_or_default() + "\n")
}

/// Reads the whole file, and writes what it holds only if every line is good and contradicts
/// nothing in the store. Lines that are there already are left alone, so that an import that was
/// cut off can be repeated.
pub(crate) async fn import<R: Read + Seek>(
    store: &dyn DocumentStore,
    input: &mut io::BufReader<R>,
    progress: &mut dyn FnMut(Pass, u64, u64),
) -> Result<Imported, TransferError> {
    let expected = check(store, input, progress).await?;
    input.seek(SeekFrom::Start(0))?;
    let mut imported = Imported::default();
    let mut batch = Batch::default();
    // Where the documents of several names went.
    let mut shared: HashMap<DocId, DocId> = HashMap::new();
    let mut lines = Lines::new(input);
    lines.header()?;
    let mut done = 0;
    while let Some((number, line)) = lines.next()? {
        done += 1;
        let of_several = line.as_ref().ok().and_then(|line| line.document);
        match line.and_then(Mapping::try_from) {
            Ok(mapping) if waits(&mapping) => imported.pending += 1,
            Ok(mapping) => match store.get(&mapping.key).await? {
                Some(known) => {
                    imported.unchanged += 1;
                    shared.extend(of_several.map(|id| (id, known.id)));
                }
                None => {
                    imported.added += 1;
                    let known = of_several.and_then(|id| shared.get(&id).copied());
                    add(store, &mut batch, mapping, known).await?;
                    let id = batch.put.last().map(|document| document.id);
                    shared.extend(of_several.zip(known.or(id)));
                }
            },
            Err(problem) => return Err(TransferError::bad(vec![Bad { line: number, problem }])),
        }
        if batch.put.len() == PAGE {
            write(store, std::mem::take(&mut batch)).await?;
            progress(Pass::Writing, expected, done);
        }
    }
    write(store, batch).await?;
    progress(Pass::Writing, expected, done);
    Ok(imported)
}

/// As one more name of a document that came before, or as a document of its own.
async fn add(
    store: &dyn DocumentStore,
    batch: &mut Batch,
    Mapping { key, document }: Mapping,
    known: Option<DocId>,
) -> Result<(), TransferError> {
    let Some(id) = known else {
        batch.expect.push((document.id, None));
        batch.put.push(document);
        return Ok(());
    };
    if let Some(document) = batch.put.iter_mut().find(|document| document.id == id) {
        document.names.push(key);
        return Ok(());
    }
    let mut document = store.document(id).await?.map(Arc::unwrap_or_clone);
    let document = document.as_mut().ok_or(TransferError::Conflict)?;
    batch.expect.push((id, Some(document.revision)));
    document.names.push(key);
    batch.put.push(document.clone());
    Ok(())
}

/// An import reads its file twice: nothing is written unless all of it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Checking,
    Writing,
}

#[cfg(feature = "cli")]
impl Pass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Writing => "writing",
        }
    }
}

/// What an export wrote.
#[cfg(any(test, feature = "cli"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) mappings: u64,
    /// Of these, still on their way to DWS.
    pub(crate) pending: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub(crate) added: u64,
    /// Were there already, just so.
    pub(crate) unchanged: u64,
    /// Left out: their bytes are in the journal of the store they came from.
    pub(crate) pending: u64,
}

/// A line that can't be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) line: u64,
    pub(crate) problem: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{}", sentence(.0, *.1))]
    Bad(Vec<Bad>, u64),
    #[error("a mapping appeared meanwhile; import the file again")]
    Conflict,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TransferError {
    fn bad(bad: Vec<Bad>) -> Self {
        let count = bad.len() as u64;
        Self::Bad(bad, count)
    }
}

fn sentence(bad: &[Bad], count: u64) -> String {
    use std::fmt::Write as _;
    let mut text = format!("nothing was imported, {count} line(s) are bad:");
    for Bad { line, problem } in bad {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  line {line}: {problem}");
    }
    if count > bad.len() as u64 {
        let _ = write!(text, "\n  and {} more", count - bad.len() as u64);
    }
    text
}

/// Looks at every line without writing. Returns how many mappings there are.
async fn check<R: Read + Seek>(
    store: &dyn DocumentStore,
    input: &mut io::BufReader<R>,
    progress: &mut dyn FnMut(Pass, u64, u64),
) -> Result<u64, TransferError> {
    let mut lines = Lines::new(input);
    let header = lines.header()?;
    let (mut bad, mut bad_count, mut seen) = (Vec::new(), 0, 0);
    let mut previous: Option<DocumentKey> = None;
    while let Some((number, line)) = lines.next()? {
        seen += 1;
        let checked = match line.and_then(Mapping::try_from) {
            Ok(mapping) => {
                let problem = contradiction(store, previous.as_ref(), &mapping).await?;
                previous = Some(mapping.key);
                problem
            }
            Err(problem) => Some(problem),
        };
        if let Some(problem) = checked {
            bad_count += 1;
            if bad.len() < MAX_BAD {
                bad.push(Bad { line: number, problem });
            }
        }
        if seen % PAGE as u64 == 0 {
            progress(Pass::Checking, header.count, seen);
        }
    }
    if bad_count > 0 {
        return Err(TransferError::Bad(bad, bad_count));
    }
    if seen != header.count {
        let problem = format!("announces {} mappings, the file holds {seen}", header.count);
        return Err(TransferError::bad(vec![Bad { line: 1, problem }]));
    }
    Ok(seen)
}

/// An export is in the order of its keys, which is what makes a double visible without keeping
/// them.
async fn contradiction(
    store: &dyn DocumentStore,
    previous: Option<&DocumentKey>,
    mapping: &Mapping,
) -> Result<Option<String>, StoreError> {
    let key = &mapping.key;
    if previous.is_some_and(|previous| previous >= key) {
        return Ok(Some(format!(
            "{key} is not after the line before it; sort the lines by kind and id"
        )));
    }
    let known = store.get(key).await?;
    let differs = known.is_some_and(|known| known.state != mapping.state);
    Ok((differs && !waits(mapping)).then(|| {
        format!("{key} is mapped to something else here; see `transom mappings show`, or remove it first")
    }))
}

async fn write(store: &dyn DocumentStore, batch: Batch) -> Result<(), TransferError> {
    match store.apply(batch).await? {
        Applied::Done => Ok(()),
        Applied::Conflict | Applied::Fenced => Err(TransferError::Conflict),
    }
}

async fn count(store: &dyn DocumentStore) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        count += page.len() as u64;
        after = Some(last.key.clone());
    }
}

#[cfg(any(test, feature = "cli"))]
fn write_line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Reads line by line, none longer than [`MAX_LINE`].
struct Lines<'a, R> {
    input: &'a mut R,
    number: u64,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(input: &'a mut R) -> Self {
        Self { input, number: 0 }
    }

    fn header(&mut self) -> Result<Header, TransferError> {
        let text = self.text()?.unwrap_or_default();
        let problem = match serde_json::from_slice::<Header>(&text) {
            Ok(header) if header.format != FORMAT => "is no header of exported mappings".to_owned(),
            Ok(header) if header.version != VERSION => {
                format!("has version {}, this Transom reads version {VERSION}", header.version)
            }
            Ok(header) => return Ok(header),
            Err(error) => format!("is no header of exported mappings: {error}"),
        };
        Err(TransferError::bad(vec![Bad { line: 1, problem }]))
    }

    /// The next line that is not blank, with its number.
    #[allow(clippy::type_complexity)]
    fn next(&mut self) -> io::Result<Option<(u64, Result<Line, String>)>> {
        while let Some(text) = self.text()? {
            if !text.iter().all(u8::is_ascii_whitespace) {
                let line = serde_json::from_slice(&text).map_err(|error| error.to_string());
                return Ok(Some((self.number, line)));
            }
        }
        Ok(None)
    }

    fn text(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)?;
        self.number += 1;
        if read as u64 == MAX_LINE {
            let problem = format!("line {} is longer than {MAX_LINE} bytes", self.number);
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok((read > 0).then_some(text))
    }
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    count: u64,
}

impl Header {
    fn new(count: u64) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, count }
    }
}

/// A mapping as operators read and write it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    id: String,
    /// There where the document has other names, too: its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<DocId>,
    state: State,
    /// The DWS document when ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document_id: Option<String>,
    /// The journal's entry when pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
    /// The DWS document that pending bytes will retire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// DWS's words when refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) content_type: String,
    pub(crate) size: u64,
    sha256: String,
    created_at: u64,
    pub(crate) updated_at: u64,
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    provenance: Provenance,
    #[serde(default, skip_serializing_if = "Validators::is_empty")]
    validators: Validators,
    /// There while the app may have other bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Pending,
    Ready,
    Refused,
    Lost,
    Unconfirmed,
}

#[cfg(feature = "cli")]
impl Line {
    /// Kind, id and tenant, for people.
    pub(crate) fn name(&self) -> String {
        let host = self.host.as_ref().map(|host| format!("@{host}")).unwrap_or_default();
        format!("{}/{}{host}", self.kind, self.id)
    }

    /// In one word.
    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::Pending => "pending",
            State::Ready => "ready",
            State::Refused => "refused",
            State::Lost => "lost",
            State::Unconfirmed => "unconfirmed",
        }
    }

    /// DWS's id, or where else to look.
    pub(crate) fn at_backend(&self) -> String {
        match (&self.document_id, self.job) {
            (Some(document_id), _) => document_id.clone(),
            (None, Some(job)) => format!("(job {job})"),
            (None, None) => String::new(),
        }
    }
}

/// Whether a line of an export waits for the journal, so that an import leaves it out.
#[cfg(feature = "cli")]
pub(crate) fn is_pending(line: &str) -> bool {
    let line = serde_json::from_str(line).map_err(|_| String::new());
    line.and_then(|line: Line| Mapping::try_from(line)).is_ok_and(|mapping| waits(&mapping))
}

impl From<Mapping> for Line {
    fn from(Mapping { key, document }: Mapping) -> Self {
        let (state, document_id, job, previous, detail) = match document.state {
            DocumentState::Pending { job, previous } => {
                (State::Pending, None, Some(job.0), previous, None)
            }
            DocumentState::Ready { document_id } => {
                (State::Ready, Some(document_id), None, None, None)
            }
            DocumentState::Refused { detail } => (State::Refused, None, None, None, Some(detail)),
            DocumentState::Lost { document_id } => {
                (State::Lost, Some(document_id), None, None, None)
            }
            DocumentState::Unconfirmed { job } => {
                (State::Unconfirmed, None, Some(job.0), None, None)
            }
        };
        Self {
            kind: key.kind().to_owned(),
            host: key.host().map(str::to_owned),
            id: key.id().to_owned(),
            document: (document.names.len() > 1).then_some(document.id),
            state,
            document_id,
            job,
            previous,
            detail,
            title: document.title,
            content_type: document.content_type,
            size: document.size,
            sha256: document.sha256,
            created_at: document.created_at,
            updated_at: document.updated_at,
            provenance: document.provenance,
            validators: document.validators,
            doubt: document.doubt,
        }
    }
}

impl TryFrom<Line> for Mapping {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let state = match (line.state, line.document_id, line.job, line.detail) {
            (State::Ready, Some(document_id), None, None) if !document_id.is_empty() => {
                DocumentState::Ready { document_id }
            }
            (State::Lost, Some(document_id), None, None) if !document_id.is_empty() => {
                DocumentState::Lost { document_id }
            }
            (State::Pending, None, Some(job), None) => {
                DocumentState::Pending { job: JobId(job), previous: line.previous }
            }
            (State::Refused, None, None, Some(detail)) => DocumentState::Refused { detail },
            (State::Unconfirmed, None, Some(job), None) => {
                DocumentState::Unconfirmed { job: JobId(job) }
            }
            (State::Ready | State::Lost, ..) => {
                return Err("`ready` and `lost` take a `document_id` and no more".to_owned());
            }
            (State::Pending | State::Unconfirmed, ..) => {
                return Err("`pending` and `unconfirmed` take a `job` and no more".to_owned());
            }
            (State::Refused, ..) => return Err("`refused` takes a `detail` and no more".to_owned()),
        };
        if line.kind.is_empty() || line.kind.chars().any(char::is_control) {
            return Err("`kind` is empty or holds control characters".to_owned());
        }
        let key = DocumentKey::new(line.kind, line.id);
        let key = match line.host {
            Some(host) => key.and_then(|key| key.at_host(host)),
            None => key,
        };
        let key = key.map_err(|error| error.to_string())?;
        let document = Document {
            title: line.title,
            content_type: line.content_type,
            size: line.size,
            sha256: line.sha256,
            updated_at: line.updated_at,
            provenance: line.provenance,
            validators: line.validators,
            // The bytes that a look could confirm stay in the other spool.
            doubt: line.doubt.map(|doubt| Doubt { unconfirmed: None, ..doubt }),
            ..Document::new(key.clone(), state, line.created_at)
        };
        Ok(Self { key, document })
    }
}

const FORMAT: &str = "transom-mappings";
const VERSION: u32 = 1;
const PAGE: usize = 500;
/// Bad lines that are told one by one.
const MAX_BAD: usize = 20;
/// An id has at most 1,024 bytes, and titles are file names.
const MAX_LINE: u64 = 64 * 1024;

/// Whether it says nothing yet without the journal.
fn waits(mapping: &Mapping) -> bool {
    matches!(mapping.state, DocumentState::Unconfirmed { .. } | DocumentState::Pending { .. })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "transfer_tests.rs"]
mod tests;
