//! One end of a connection in memory, behind a gate that tests open and close.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, split};

use crate::transport::{ReadHalf, Stream, WriteHalf};

/// Whether bytes pass, for both ends of a connection.
#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    passage: Passage,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Passage {
    #[default]
    Open,
    Closed,
    Reset,
}

impl Gate {
    /// Lets bytes through.
    pub(super) fn open(&self) {
        self.turn(Passage::Open);
    }

    /// Holds bytes back.
    pub(super) fn close(&self) {
        self.turn(Passage::Closed);
    }

    /// Breaks the connection for good.
    pub(super) fn reset(&self) {
        self.turn(Passage::Reset);
    }

    fn turn(&self, passage: Passage) {
        let mut state = self.state();
        if state.passage != Passage::Reset {
            state.passage = passage;
        }
        state.waiting.drain(..).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when bytes may be read. Keeps the waker, since a change must also wake a task that
    /// waits for bytes behind an open gate.
    fn poll_read(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            state.waiting.push(context.waker().clone());
        }
        match state.passage {
            Passage::Open => Poll::Ready(Ok(())),
            Passage::Closed => Poll::Pending,
            Passage::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn check_write(&self, context: &Context<'_>) -> io::Result<()> {
        let mut state = self.state();
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            state.waiting.push(context.waker().clone());
        }
        match state.passage {
            Passage::Reset => Err(io::ErrorKind::BrokenPipe.into()),
            Passage::Open | Passage::Closed => Ok(()),
        }
    }
}

/// One end of a connection.
pub(super) struct Pipe {
    inner: DuplexStream,
    gate: Arc<Gate>,
}

impl Pipe {
    pub(super) fn new(inner: DuplexStream, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl Stream for Pipe {
    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = split(*self);
        (Box::new(read), Box::new(write))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_read(context))?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.gate.check_write(context)?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
