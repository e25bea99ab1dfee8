//! Few open files: everybody is served, and nothing is lost.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Form, World, files, tokens};

async fn confined(files: u32) -> World {
    // The ends that are in this process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let mut world = World::usual().start(Form::Binary).await;
    world.stop().await;
    world.start_again_confined(files, "022").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_lock_nobody_out() {
    let world = confined(1024).await;
    let log = world.log();
    assert!(log.contains("1024 open files") && log.contains("LimitNOFILE"), "{log}");
    let mut silent = Vec::new();
    for _ in 0..1100 {
        silent.push(TcpStream::connect(world.address).await.unwrap());
    }
    let patience = Duration::from_secs(30);
    for name in ["a", "b"] {
        timeout(patience, world.upload_as("ann", name)).await.unwrap();
    }
    let reply = world.request_as("ann", Method::GET, "/api/files").send();
    assert!(timeout(patience, reply).await.unwrap().unwrap().status().as_u16() < 500);
    world.dws.has_documents(2).await;
    drop(silent);
}

/// A form whose body takes this long to come, and the reply.
async fn slow_upload(world: &World, takes: Duration) -> String {
    let pdf = files::pdf("slow");
    let before =
        b"--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    let body = [&before[..], &pdf, b"\r\n--B--\r\n"].concat();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: app\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=B\r\ncontent-length: {}\r\n\r\n",
        tokens::for_user("ann"),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(body.len() / 20) {
        tokio::time::sleep(takes / 20).await;
        stream.write_all(piece).await.unwrap();
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_never_cut_for_silent_connections() {
    let world = confined(128).await;
    let slow = slow_upload(&world, Duration::from_secs(4));
    let flood = async {
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(TcpStream::connect(world.address).await.unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        silent
    };
    let (reply, silent) = tokio::join!(slow, flood);
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
    drop(silent);
    world.dws.has_documents(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_too_many_at_once_wait_for_each_other() {
    let world = confined(1024).await;
    let uploads = (0..600).map(|n| {
        let name = format!("{n}.pdf");
        let bytes = [files::pdf(&name), vec![b'%'; 100_000]].concat();
        let request = world.post_file_request_as("ann", &name, bytes);
        tokio::spawn(async move { request.send().await.map(|reply| reply.status().as_u16()) })
    });
    let uploads: Vec<_> = uploads.collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap().unwrap(), 201);
    }
    world.settled().await;
    world.dws.has_documents(600).await;
}

/// From the first start on, whatever the umask.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    fn all(dir: &std::path::Path, found: &mut Vec<(std::path::PathBuf, u32)>) {
        found.push((dir.to_owned(), std::fs::metadata(dir).unwrap().permissions().mode() & 0o777));
        if dir.is_dir() {
            std::fs::read_dir(dir).unwrap().flatten().for_each(|entry| all(&entry.path(), found));
        }
    }

    let mut world = World::usual().start(Form::Binary).await;
    world.stop().await;
    let data = world.dir().join("data");
    for existing in [false, true] {
        std::fs::remove_dir_all(&data).unwrap();
        if existing {
            std::fs::create_dir(&data).unwrap();
            std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        world.start_again_confined(4096, "000").await;
        world.upload_as("ann", "a").await;
        world.stop().await;
        let mut found = Vec::new();
        all(&data, &mut found);
        assert!(found.len() > 4, "{found:?}");
        for (path, mode) in found {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "{}", path.display());
        }
    }
}
