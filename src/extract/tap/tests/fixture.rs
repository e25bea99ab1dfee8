//! Bodies, forms and a spool to tap them into.

use super::*;

pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) spool: Spool,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        Self { dir, spool }
    }

    pub(super) fn tap<B: Body<Data = Bytes>>(
        &self,
        body: B,
        body_of: Box<dyn Extract>,
    ) -> (Tapped<B>, Handle) {
        let types = ["application/pdf", "image/png"].map(str::to_owned).to_vec();
        let plan = Plan { body: body_of, max_size: MAX_SIZE as u64, types, keep_json: true };
        tap(body, plan, &self.spool)
    }

    pub(super) async fn all(
        &self,
        body: Frames,
        body_of: Box<dyn Extract>,
    ) -> Result<Seen, Reason> {
        let (app, handle) = self.tap(body, body_of);
        app.collect().await.unwrap();
        handle.finish().await
    }

    /// Files are made and removed beside the request, so this takes a moment.
    pub(super) async fn files_become(&self, count: usize) {
        for _ in 0..2_000 {
            if files(self.dir.path()) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} files in the spool, not {count}", files(self.dir.path()));
    }
}

pub(super) fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// A body whose frames are known.
#[derive(Debug)]
pub(super) struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    /// Content-Length, less what was read.
    left: Option<u64>,
}

impl Frames {
    pub(super) fn cut(body: &[u8], size: usize) -> Self {
        Self::cut_by(body, &[size])
    }

    pub(super) fn cut_by(body: &[u8], sizes: &[usize]) -> Self {
        let mut rest = Bytes::copy_from_slice(body);
        let mut sizes = sizes.iter().cycle();
        let mut frames = VecDeque::new();
        while !rest.is_empty() {
            let size = *sizes.next().unwrap();
            frames.push_back(Frame::data(rest.split_to(size.min(rest.len()))));
        }
        Self { frames, left: None }
    }

    pub(super) fn with_length(mut self) -> Self {
        self.left = Some(self.frames.iter().map(|f| f.data_ref().unwrap().len() as u64).sum());
        self
    }

    pub(super) fn with_trailers(mut self) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("digest", "x".parse().unwrap());
        self.frames.push_back(Frame::trailers(trailers));
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = self.frames.pop_front();
        let len = frame.as_ref().and_then(|f| f.data_ref()).map_or(0, Bytes::len);
        self.left = self.left.map(|left| left - len as u64);
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A body that a test sends.
pub(super) struct Driven(mpsc::Receiver<Result<Frame<Bytes>, &'static str>>);

impl Driven {
    pub(super) fn new() -> (mpsc::Sender<Result<Frame<Bytes>, &'static str>>, Self) {
        let (sender, receiver) = mpsc::channel(8);
        (sender, Self(receiver))
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx)
    }
}

#[derive(Clone, Default)]
pub(super) struct Form(Vec<u8>);

impl Form {
    pub(super) fn field(self, name: &str, value: &[u8]) -> Self {
        self.part(&format!("name=\"{name}\""), value)
    }

    pub(super) fn file(self, name: &str, file_name: &str, content: &[u8]) -> Self {
        self.part(&format!("name=\"{name}\"; filename=\"{file_name}\""), content)
    }

    pub(super) fn part(mut self, parameters: &str, content: &[u8]) -> Self {
        self = self.raw(&format!("--X\r\nContent-Disposition: form-data; {parameters}\r\n\r\n"));
        self.0.extend_from_slice(content);
        self.raw("\r\n")
    }

    pub(super) fn raw(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn end(self) -> Bytes {
        self.raw("--X--\r\n").unclosed()
    }

    pub(super) fn unclosed(self) -> Bytes {
        self.0.into()
    }
}

pub(super) fn multipart() -> Box<dyn Extract> {
    form::reading(BOUNDARY, Parts::AnyFile)
}

pub(super) fn pdf(size: usize) -> Vec<u8> {
    let mut pdf = b"%PDF-".to_vec();
    pdf.extend((0..size.saturating_sub(5)).map(|at| (at % 251) as u8));
    pdf
}

pub(super) type Outcome<'a> = Result<(&'a str, &'a str, u64), Reason>;

pub(super) fn outcome(file: &FilePart) -> (&str, Outcome<'_>) {
    let kept = file.kept.as_ref().map_err(|reason| *reason).map(|file| {
        (file.title.as_deref().unwrap_or_default(), file.content_type.as_str(), file.size)
    });
    (file.part.as_deref().unwrap_or_default(), kept)
}

pub(super) const BOUNDARY: &str = "X";
pub(super) const MAX_SIZE: usize = 2_000_000;
