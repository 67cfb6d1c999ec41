//! The streams of a session for real: pipes or a terminal, read and written without blocking.

use std::{cell::RefCell, fs::File, io, rc::Rc};

use futures_util::future::LocalBoxFuture;
use tepui_isolation::{
    Ended, LaunchError, ProcessIdentity, Session, Signal, Streams,
    process::{chain, family},
    session,
};
use tepui_protocol::{
    WindowSize,
    messages::session::{PIECE_MAX, Refusal, Stream},
};
use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::{Notify, oneshot, watch},
};

use super::{SessionIo, system::WATCHER_STACK};

/// The variable that all processes of a session have, with the session's name.
pub(super) const MARK: &str = "TEPUI_SESSION";
/// A shell's exit statuses for a program that does not exist, or is none.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// A stream that is read, of a terminal as well.
type Output = Rc<Receiver>;

/// A session that runs.
struct SystemSession {
    input: RefCell<Option<Rc<Sender>>>,
    /// What is not read to its end yet.
    outputs: RefCell<Vec<(Stream, Output)>>,
    terminal: RefCell<Option<File>>,
    process: ProcessIdentity,
    mark: String,
    /// Wakes those who hold streams that are to be closed.
    hung_up: Notify,
    ended: watch::Receiver<Option<Ended>>,
}

/// Starts a session by `launch`, which may block; `mark` is its name.
pub(super) async fn open(
    mark: String,
    launch: impl FnOnce() -> Result<Session, LaunchError> + Send + 'static,
) -> Result<Rc<dyn SessionIo>, Refusal> {
    let (started, is_started) = oneshot::channel();
    let (over, ended) = watch::channel(None);
    let name = mark.clone();
    let work = move || match launch() {
        Err(error) => drop(started.send(Err(refusal(&error)))),
        Ok(Session { launched, streams }) => {
            // If nobody waits any more, the streams close, and that ends most commands.
            let _ = started.send(Ok((launched.identity(), streams)));
            let ended = launched
                .wait()
                .map_or(Ended::Unseen, |outcome| outcome.ended);
            kill(&name);
            over.send_replace(Some(ended));
        }
    };
    let thread = std::thread::Builder::new().name("session".to_owned());
    let spawned = thread.stack_size(WATCHER_STACK).spawn(work);
    spawned.map_err(|error| Refusal::from(format!("cannot start a thread: {error}")))?;
    let lost = || Err(Refusal::from("launching stopped".to_owned()));
    let (process, streams) = is_started.await.unwrap_or_else(|_| lost())?;
    let ends = Ends::of(streams).map_err(|error| {
        kill(&mark);
        Refusal::from(format!("cannot watch its streams: {error}"))
    })?;
    Ok(Rc::new(SystemSession {
        input: RefCell::new(ends.input),
        outputs: RefCell::new(ends.outputs),
        terminal: RefCell::new(ends.terminal),
        process,
        mark,
        hung_up: Notify::new(),
        ended,
    }))
}

/// Kills all that is left of a session. Survivors belong to another user or hang in the kernel.
fn kill(mark: &str) {
    if let Err(survivors) = family::kill_marked(MARK, mark) {
        tracing::warn!(%survivors, "of a session");
    }
}

fn refusal(error: &LaunchError) -> Refusal {
    let exit_code = match error {
        LaunchError::Program { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Some(NOT_FOUND)
        }
        LaunchError::Program { .. } => Some(NOT_EXECUTABLE),
        _ => None,
    };
    Refusal {
        message: chain(error),
        exit_code,
    }
}

/// Our ends, to be waited for.
struct Ends {
    input: Option<Rc<Sender>>,
    outputs: Vec<(Stream, Output)>,
    terminal: Option<File>,
}

impl Ends {
    fn of(streams: Streams) -> io::Result<Self> {
        // They do not block; a terminal is waited for as a pipe is.
        let reader = |file: File| io::Result::Ok(Rc::new(Receiver::from_file_unchecked(file)?));
        let writer = |file: File| io::Result::Ok(Rc::new(Sender::from_file_unchecked(file)?));
        Ok(match streams {
            Streams::Pipes { stdin, outputs } => {
                let [stdout, stderr] = outputs;
                Self {
                    input: stdin.map(writer).transpose()?,
                    outputs: vec![
                        (Stream::Stdout, reader(stdout)?),
                        (Stream::Stderr, reader(stderr)?),
                    ],
                    terminal: None,
                }
            }
            Streams::Terminal(terminal) => Self {
                input: Some(writer(terminal.try_clone()?)?),
                outputs: vec![(Stream::Stdout, reader(terminal.try_clone()?)?)],
                terminal: Some(terminal),
            },
        })
    }
}

/// Waits for a piece; empty at the end. Gives what it has read, also when it is dropped early: it
/// waits before it reads, and not after.
async fn piece(output: &Receiver) -> Vec<u8> {
    let mut buffer = vec![0; PIECE_MAX];
    while output.readable().await.is_ok() {
        match output.try_read(&mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return buffer;
            }
            Err(error) if is_passing(&error) => {}
            // A terminal says it this way that nobody has its other end any more.
            Err(_) => break,
        }
    }
    Vec::new()
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Waits for the first that has something, or has ended; none if there is none.
async fn next(open: &[(Stream, Output)]) -> Option<(Stream, Vec<u8>)> {
    match open {
        [] => None,
        [(stream, only)] => Some((*stream, piece(only).await)),
        [(one, first), (other, second), ..] => tokio::select! {
            data = piece(first) => Some((*one, data)),
            data = piece(second) => Some((*other, data)),
        },
    }
}

impl SessionIo for SystemSession {
    fn read(self: Rc<Self>) -> LocalBoxFuture<'static, Option<(Stream, Vec<u8>)>> {
        Box::pin(async move {
            loop {
                let open = self.outputs.borrow().clone();
                let (stream, data) = tokio::select! {
                    biased;
                    next = next(&open) => next?,
                    () = self.hung_up.notified() => return None,
                };
                if !data.is_empty() {
                    return Some((stream, data));
                }
                self.outputs
                    .borrow_mut()
                    .retain(|(open, _)| *open != stream);
            }
        })
    }

    fn write(self: Rc<Self>, data: Vec<u8>) -> LocalBoxFuture<'static, Option<usize>> {
        Box::pin(async move {
            let input = self.input.borrow().clone()?;
            loop {
                tokio::select! {
                    biased;
                    ready = input.writable() => ready.ok()?,
                    () = self.hung_up.notified() => return None,
                }
                match input.try_write(&data) {
                    Ok(count) => return Some(count),
                    Err(error) if is_passing(&error) => {}
                    Err(_) => {
                        self.close_input();
                        return None;
                    }
                }
            }
        })
    }

    fn close_input(&self) {
        self.input.borrow_mut().take();
    }

    fn resize(&self, size: WindowSize) {
        if let Some(terminal) = &*self.terminal.borrow()
            && let Err(error) = session::resize(terminal, size)
        {
            tracing::debug!(%error, "terminal not resized");
        }
    }

    fn hang_up(&self) {
        // The kernel tells those on a terminal.
        self.close_input();
        self.outputs.borrow_mut().clear();
        self.terminal.borrow_mut().take();
        self.hung_up.notify_waiters();
        // That it has ended is fine.
        let _ = self.process.signal_group(Signal::Terminate);
    }

    fn kill(&self) {
        let (mark, process) = (self.mark.clone(), self.process);
        let work = move || {
            kill(&mark);
            // Its command may have cleared its environment, and ends with the launcher.
            let _ = process.signal_group(Signal::Kill);
        };
        let thread = std::thread::Builder::new().name("session".to_owned());
        let spawned = thread.stack_size(WATCHER_STACK).spawn(work);
        if let Err(error) = spawned {
            tracing::warn!(%error, "a session is not killed");
        }
    }

    fn ended(&self) -> LocalBoxFuture<'static, Ended> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let seen = ended.wait_for(Option::is_some).await;
            seen.ok().and_then(|ended| *ended).unwrap_or(Ended::Unseen)
        })
    }
}
