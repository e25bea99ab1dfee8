//! Views of which the client holds something already.

use http::Extensions;
use http::request::Parts;

use super::View;
use crate::lane::grant::Asker;
use crate::lane::policy::Policy;
use crate::reason::Reason;

impl View {
    /// Whether this caller may get a session, as far as can be told before the app answers; otherwise the app may
    /// well say that nothing has changed.
    pub(super) async fn check_due(&self, asker: &Asker, parts: &Parts) -> Result<(), Reason> {
        let Self { engine, rule, kind, key, .. } = self;
        let nobody_listens = Extensions::new();
        Policy::new(engine, rule, asker, Some(parts), &nobody_listens).check_without_document()?;
        match engine.outbox.mapping(key).await? {
            None if kind.source.is_none() => Err(Reason::DocumentUnknown),
            _ => Ok(()),
        }
    }
}
