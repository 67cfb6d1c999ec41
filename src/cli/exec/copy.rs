//! Copies between the streams of this process and those of a session, piece by piece in both
//! directions: whoever does not read holds the other side back.

use std::{
    io::{self, Read as _},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tepui_protocol::messages::session::{
    Close, Open, Output, PATIENCE, PIECE_MAX, Read, Refusal, Resize, Stream, Write, Written,
};
use tepui_runtime::AnyPid;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use uuid::Uuid;

use super::terminal::Terminal;
use crate::{client::Client, output};

/// The agent answers after twice [`PATIENCE`] at the latest.
const DEADLINE: Duration = PATIENCE.saturating_mul(3);
/// What a process ends with that a signal ended, beside the signal's number.
const BY_SIGNAL: u8 = 128;

/// A session with the streams of this process.
pub(super) struct Copy<'a> {
    client: &'a Client,
    agent: AnyPid,
    has_input: bool,
    terminal: Option<Terminal>,
    signals: Signals,
}

/// How the copying came to its end.
enum End {
    Code(u8),
    Signal(u8),
}

impl<'a> Copy<'a> {
    /// From now on, signals that would end this process are caught.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(
        client: &'a Client,
        agent: AnyPid,
        has_input: bool,
        terminal: Option<Terminal>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client,
            agent,
            has_input,
            terminal,
            signals: Signals::catch().context("cannot catch signals")?,
        })
    }

    /// Runs a session to its end. Returns the exit code for this process, or why there was no session.
    ///
    /// # Errors
    /// When the agent does not answer, or stdout is closed.
    pub(super) async fn run(mut self, open: Open) -> anyhow::Result<Result<u8, Refusal>> {
        let opened = self.client.ask_within(&self.agent, open, DEADLINE).await?;
        let session = match opened {
            Ok(session) => session,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(terminal) = &self.terminal {
            terminal.make_raw().context("cannot use this terminal")?;
        }
        let ended = self.copy(session).await;
        // What comes next is for a terminal as it was.
        self.terminal.take();
        match ended {
            Ok(End::Code(code)) => Ok(Ok(code)),
            Ok(End::Signal(number)) => {
                self.client.tell(&self.agent, Close { session });
                Ok(Ok(BY_SIGNAL + number))
            }
            Err(error) => {
                self.client.tell(&self.agent, Close { session });
                Err(error)
            }
        }
    }

    async fn copy(&mut self, session: Uuid) -> anyhow::Result<End> {
        let (client, agent) = (self.client, &self.agent);
        let outwards = outwards(client, agent, session);
        let inwards = async {
            if self.has_input {
                inwards(client, agent, session).await?;
            }
            // Output goes on without it.
            std::future::pending::<anyhow::Result<End>>().await
        };
        tokio::pin!(outwards, inwards);
        let Signals { ending, resized } = &mut self.signals;
        loop {
            tokio::select! {
                biased;
                number = first(ending) => return Ok(End::Signal(number)),
                _ = resized.recv() => {
                    if let Some(terminal) = &self.terminal {
                        let size = terminal.size();
                        client.tell(agent, Resize { session, size });
                    }
                }
                ended = &mut outwards => return ended,
                failed = &mut inwards => return failed,
            }
        }
    }
}

/// Copies what the command writes until it has ended.
async fn outwards(client: &Client, agent: &AnyPid, session: Uuid) -> anyhow::Result<End> {
    loop {
        let read = client.ask_within(agent, Read { session }, DEADLINE).await?;
        match read.map_err(|why| anyhow!("{why}"))? {
            Output::Nothing => {}
            Output::Piece { stream, data } => {
                // A reader that does not read must not keep the links of this process from working.
                let written = tokio::task::spawn_blocking(move || write(stream, &data));
                written.await.context("cannot write")??;
            }
            Output::Ended { code } => return Ok(End::Code(code)),
        }
    }
}

fn write(stream: Stream, data: &[u8]) -> anyhow::Result<()> {
    match stream {
        Stream::Stdout => output::write(data),
        Stream::Stderr => output::write_error(data),
    }
}

/// Copies stdin until its end, or until the command reads no more.
async fn inwards(client: &Client, agent: &AnyPid, session: Uuid) -> anyhow::Result<()> {
    let mut pieces = stdin();
    loop {
        let data = pieces.recv().await.unwrap_or_default();
        let is_last = data.is_empty();
        let mut rest = data.as_slice();
        loop {
            let piece = Write {
                session,
                data: rest.to_vec(),
                is_last,
            };
            let written = client.ask_within(agent, piece, DEADLINE).await?;
            match written.map_err(|why| anyhow!("{why}")) {
                Ok(Written::Taken(count)) => rest = rest.get(count..).unwrap_or_default(),
                // That it has ended is told by its output.
                Ok(Written::Closed) | Err(_) => return Ok(()),
            }
            if rest.is_empty() {
                break;
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The pieces of stdin, read by a thread of its own, one ahead; it ends with this process.
fn stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel(1);
    let read = move || {
        let mut buffer = vec![0; PIECE_MAX];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    // Without the thread it is as if stdin were empty.
    let _ = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read);
    pieces
}

/// The signals that mean something while a command runs elsewhere.
struct Signals {
    ending: Vec<(u8, Signal)>,
    resized: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let catch = |kind: SignalKind| {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            io::Result::Ok((number, signal(kind)?))
        };
        Ok(Self {
            ending: kinds.into_iter().map(catch).collect::<io::Result<_>>()?,
            resized: signal(SignalKind::window_change())?,
        })
    }
}

/// Waits for one of these signals; its number.
async fn first(signals: &mut [(u8, Signal)]) -> u8 {
    std::future::poll_fn(|cx| {
        let came = |(number, signal): &mut (u8, Signal)| {
            signal.poll_recv(cx).is_ready().then_some(*number)
        };
        match signals.iter_mut().find_map(came) {
            Some(number) => std::task::Poll::Ready(number),
            None => std::task::Poll::Pending,
        }
    })
    .await
}
