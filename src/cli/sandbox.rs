//! `transom sandbox`: a local stand-in of DWS Viewer.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::size;
use crate::sandbox::{Quota, Sandbox, SandboxOptions};

/// Runs a local stand-in of DWS Viewer, with fault switches and a request journal.
#[derive(Debug, clap::Args)]
pub(crate) struct SandboxArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where /control/ listens, if not on the same address.
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
    /// The address that browsers use for it, if not the one it listens on.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The API key that it accepts.
    #[arg(long, value_name = "KEY", default_value = "sandbox-key")]
    key: String,
    /// Keeps documents and counters in this directory; without it they are gone with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Largest document, such as 512KiB or "2 GiB".
    #[arg(long, value_name = "SIZE", default_value = "100MiB", value_parser = size)]
    size_limit: u64,
    /// Keeps hash and size of documents only, not their bytes.
    #[arg(long)]
    discard_content: bool,
    /// Most documents at one time.
    #[arg(long, value_name = "N")]
    quota_documents: Option<u64>,
    /// Most uploads in all.
    #[arg(long, value_name = "N")]
    quota_uploads: Option<u64>,
    /// Most sessions in all.
    #[arg(long, value_name = "N")]
    quota_sessions: Option<u64>,
}

impl SandboxArgs {
    /// Runs until Ctrl-C or SIGTERM.
    pub(crate) fn run(self) -> ExitCode {
        let served = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(serve(self.into_options())));
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("transom sandbox: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn into_options(self) -> SandboxOptions {
        SandboxOptions {
            listen: self.listen,
            control: self.control,
            public_url: self.public_url,
            key: self.key,
            data: self.data,
            size_limit: self.size_limit,
            keep_content: !self.discard_content,
            quota: Quota {
                documents: self.quota_documents,
                uploads: self.quota_uploads,
                sessions: self.quota_sessions,
                ..Quota::default()
            },
            ..SandboxOptions::default()
        }
    }
}

async fn serve(options: SandboxOptions) -> io::Result<()> {
    let key = options.key.clone();
    let sandbox = Sandbox::start(options).await?;
    println!(
        "DWS sandbox on http://{address}\n\
         Look at it:  {control}\n\n\
         In config.toml:\n\n\
         [dws]\n\
         url     = \"{url}\"\n\
         api_key = {key:?}\n\n\
         [viewer]\n\
         sdk = \"{sdk}\"\n\n\
         Ctrl-C stops it.",
        address = sandbox.address,
        control = sandbox.control_url(),
        url = sandbox.url(),
        sdk = sandbox.sdk_url(),
    );
    stop_signal().await?;
    sandbox.stop().await;
    Ok(())
}

#[cfg(unix)]
async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
