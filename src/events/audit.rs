use std::path::Path;

/// How the audit log fares. What its lines say is not told: they are written before a session is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AuditEvent<'a> {
    /// It goes on after this line. Whoever notes its seal can tell later whether the line is still there, by
    /// `transom audit verify --contains`.
    Begins { path: &'a Path, seq: u64, seal: &'a str },
    /// So many lines came to be written, and were or were not.
    Lines { lines: u64, written: bool },
    /// It can't be written, and no session is given.
    Failed { error: &'a str },
    /// It is written again.
    Mended { path: &'a Path },
}

impl AuditEvent<'_> {
    /// As the live feed calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Begins { .. } => "audit_begins",
            Self::Lines { written: true, .. } => "audit_written",
            Self::Lines { written: false, .. } => "audit_lines_lost",
            Self::Failed { .. } => "audit_failed",
            Self::Mended { .. } => "audit_mended",
        }
    }
}
