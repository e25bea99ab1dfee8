//! Power may fail right after the client has seen the app's success.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::missing::missing;
use crate::support::{Form, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_and_journal_are_on_the_device_before_the_client_has_the_end_of_the_reply() {
    let world = World::usual().start(Form::Binary).await;
    let calls = world.dir().join("calls");
    let Some(strace) = watch(world.process_id(), &calls).await else {
        match Command::new("strace").arg("-V").stdout(Stdio::null()).status().await {
            Ok(_) => println!("SKIPPED: strace may not attach here"),
            Err(_) => missing("strace is not installed (Debian package strace)"),
        }
        return;
    };
    let id = world.upload_as("ann", "a.pdf").await;
    end(strace).await;
    let text = std::fs::read_to_string(&calls).unwrap();
    let ended = Calls::ended_in(&text);
    let reply = ended.find(0, &["<socket:", "\\\"data\\\"", &format!("\\\"id\\\":{id}")]);
    let journal = ended.find(0, &["pwrite64", "/sled/db>", "\\\"kind\\\":\\\"files\\\""]);
    for (what, begin, marks) in [
        ("the file's bytes", 0, &["fsync(", "/spool/"][..]),
        ("the file's name", 0, &["fsync(", "/spool>"]),
        ("the journal", journal, &["sync(", "/sled/db>"]),
    ] {
        assert!(ended.find(begin, marks) < reply, "{what} after the reply:\n{text}");
    }
}

/// The system calls of a process that store or send, in the order in which they came back.
struct Calls<'a>(Vec<&'a str>);

impl<'a> Calls<'a> {
    /// A call that others overtook is told twice, `<unfinished ...>` and `resumed`, by the same thread. It counts
    /// as ended at the second; a write to a socket, which others see from its start, at the first.
    fn ended_in(text: &'a str) -> Self {
        let mut open = std::collections::HashMap::new();
        let mut ended = Vec::new();
        for line in text.lines() {
            let thread = line.split_whitespace().next().unwrap_or_default();
            if line.ends_with("<unfinished ...>") && !line.contains("<socket:") {
                open.insert(thread, line);
            } else if line.contains(" resumed>") {
                ended.extend(open.remove(thread));
            } else {
                ended.push(line);
            }
        }
        Self(ended)
    }

    fn find(&self, begin: usize, marks: &[&str]) -> usize {
        let has_all = |line: &&str| marks.iter().all(|mark| line.contains(mark));
        let found = self.0.iter().skip(begin).position(has_all);
        begin + found.unwrap_or_else(|| panic!("no call with {marks:?} in {:#?}", self.0))
    }
}

/// `None` where that is not possible.
async fn watch(process: u32, calls: &Path) -> Option<Child> {
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-s", "300", "-e", "trace=fsync,fdatasync,pwrite64,write,writev,sendto"])
        .args(["-o", &calls.display().to_string(), "-p", &process.to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut told = BufReader::new(strace.stderr.take()?).lines();
    while let Ok(Some(line)) = told.next_line().await {
        if line.contains("attached") {
            tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
            return Some(strace);
        }
    }
    None
}

async fn end(mut strace: Child) {
    let pid = strace.id().expect("still attached").to_string();
    Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    strace.wait().await.unwrap();
}
