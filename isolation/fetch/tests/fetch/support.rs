//! A real HTTP server on loopback, and archives.
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use tepui_fetch::{FetchConfig, FetchError, Fetcher, Place, Work};
use tepui_protocol::provision::CommandUri;

/// What a path of the server answers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Neither sends more nor ends, until the test does.
    pub(crate) stalls: bool,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let head = format!("200 OK\r\nContent-Length: {}", body.len());
        Self {
            head,
            body,
            stalls: false,
        }
    }

    pub(crate) fn with(head: &str, body: &str) -> Self {
        Self {
            head: head.to_owned(),
            body: body.into(),
            stalls: false,
        }
    }

    pub(crate) fn stalling(self) -> Self {
        Self {
            stalls: true,
            ..self
        }
    }
}

pub(crate) trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
    replied: Receiver<()>,
    /// Who stalls ends when it is dropped.
    _end: Sender<()>,
}

impl Server {
    pub(crate) fn start(replies: &[(&str, Reply)]) -> Self {
        Self::wrapped(replies, |stream| Box::new(stream))
    }

    pub(crate) fn wrapped(
        replies: &[(&str, Reply)],
        wrap: impl Fn(TcpStream) -> Box<dyn ReadWrite> + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind("127.0.0.1:0").expect("loopback and a temporary directory");
        let port = listener
            .local_addr()
            .expect("loopback and a temporary directory")
            .port();
        let owned = replies
            .iter()
            .map(|(path, reply)| ((*path).to_owned(), reply.clone()));
        let replies: Arc<BTreeMap<String, Reply>> = Arc::new(owned.collect());
        let requests = Arc::new(AtomicUsize::new(0));
        let (told, replied) = channel();
        let (end, ended) = channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let (counted, wrap) = (requests.clone(), Arc::new(wrap));
        // It lives as long as the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (replies, counted) = (replies.clone(), counted.clone());
                let (told, ended, wrap) = (told.clone(), ended.clone(), wrap.clone());
                let one = move || {
                    let mut stream = wrap(stream);
                    let Some(head) = read_head(&mut stream) else {
                        return;
                    };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let missing = Reply::with("404 Not Found\r\nContent-Length: 0", "");
                    let reply = replies.get(&path).cloned().unwrap_or(missing);
                    let _ = write!(stream, "HTTP/1.1 {}\r\n\r\n", reply.head);
                    let _ = stream.write_all(&reply.body);
                    let _ = stream.flush();
                    let _ = told.send(());
                    if reply.stalls {
                        let _ = ended
                            .lock()
                            .expect("loopback and a temporary directory")
                            .recv();
                    }
                };
                std::thread::spawn(one);
            }
        });
        Self {
            port,
            requests,
            replied,
            _end: end,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until it has sent an answer, as far as that goes.
    pub(crate) fn await_reply(&self) {
        self.replied
            .recv()
            .expect("loopback and a temporary directory");
    }
}

fn read_head(stream: &mut dyn Read) -> Option<String> {
    let mut reader = BufReader::with_capacity(1, stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 0 {
        if line.trim().is_empty() {
            return Some(head);
        }
        head += &line;
        line.clear();
    }
    None
}

/// An agent's fetcher and a task's sandbox.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fetcher: Fetcher,
    pub(crate) place: Place,
    pub(crate) work: Work,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(FetchConfig::default())
    }

    pub(crate) fn with(config: FetchConfig) -> Self {
        let dir = tempfile::tempdir().expect("loopback and a temporary directory");
        let fetcher =
            Fetcher::open(dir.path(), config).expect("loopback and a temporary directory");
        let sandbox = dir.path().join("sandbox");
        std::fs::create_dir(&sandbox).expect("loopback and a temporary directory");
        let place = Place {
            sandbox,
            ..Place::default()
        };
        Self {
            dir,
            fetcher,
            place,
            work: Work::default(),
        }
    }

    pub(crate) fn fetch(&self, uri: CommandUri) -> Result<(), FetchError> {
        self.fetcher.fetch(&[uri], &self.place, &self.work)
    }

    /// Why it is not fetched, as people read it.
    pub(crate) fn refusal(&self, uri: CommandUri) -> String {
        chain(&self.fetch(uri).expect_err("it is refused"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.place.sandbox.join(name))
            .expect("loopback and a temporary directory")
    }

    /// What is in the sandbox.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries =
            std::fs::read_dir(&self.place.sandbox).expect("loopback and a temporary directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("loopback and a temporary directory")
                    .file_name()
                    .into_string()
                    .expect("loopback and a temporary directory")
            })
            .collect();
        names.sort();
        names
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

pub(crate) fn cached(url: &str) -> CommandUri {
    CommandUri {
        cache: true,
        ..CommandUri::new(url)
    }
}
