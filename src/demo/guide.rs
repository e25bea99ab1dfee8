use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use super::USERS;

/// What somebody who started the demo reads first.
#[derive(Debug)]
pub(crate) struct Guide<'a> {
    pub(crate) proxy: SocketAddr,
    pub(crate) app: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    /// The sandbox's page.
    pub(crate) sandbox: &'a str,
    /// A PDF to upload.
    pub(crate) sample: &'a Path,
    /// Where Transom gives sessions, without the id.
    pub(crate) sessions: &'a str,
}

impl fmt::Display for Guide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxy, app, sandbox, sessions, .. } = self;
        let [(ann, anns, _), (bob, bobs, _)] = USERS;
        let sample = self.sample.display();
        let url = format!("http://{proxy}");
        let token = |name: &str, password: &str| {
            format!(
                "$(curl -s -H 'Accept: application/json' -d 'username={name}&password={password}' \
                 {url}/login | cut -d'\"' -f4)"
            )
        };

        writeln!(f, "Transom runs in front of a small app that knows nothing of it.\n")?;
        writeln!(f, "Open {url}")?;
        writeln!(
            f,
            "  as {ann} (password {anns}): upload a PDF, press Open, see it in the viewer"
        )?;
        writeln!(f, "  as {bob} (password {bobs}): the address of {ann}'s document stays closed")?;
        writeln!(f, "  a PDF to upload: {sample}\n")?;
        writeln!(f, "Or with curl:")?;
        writeln!(f, "  ANN={}", token(ann, anns))?;
        writeln!(f, "  BOB={}", token(bob, bobs))?;
        writeln!(f, "  # the app's own upload, and the app's own answer with the id it gave")?;
        writeln!(
            f,
            "  {CURL} -H \"Authorization: Bearer $ANN\" -F 'file=@{sample}' {url}/api/files"
        )?;
        writeln!(f, "  # a viewer session for {ann}, whose document 1 is, and none for {bob}")?;
        writeln!(f, "  {CURL} -H \"Authorization: Bearer $ANN\" {url}{sessions}/1")?;
        writeln!(f, "  {CURL} -H \"Authorization: Bearer $BOB\" {url}{sessions}/1\n")?;
        writeln!(f, "Behind it:")?;
        writeln!(f, "  the app by itself         http://{app}")?;
        writeln!(f, "  a stand-in of DWS         {sandbox}   what it got, and how to break it")?;
        if let Some(admin) = self.admin {
            writeln!(f, "  Transom's health          http://{admin}/readyz")?;
            writeln!(f, "  and metrics               http://{admin}/metrics")?;
        }
        write!(f, "\nCtrl-C ends everything. Until then, what happens to uploads:")
    }
}

/// Silent but for the reply, on a line of its own.
const CURL: &str = "curl -sw '\\n'";
