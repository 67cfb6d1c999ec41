//! Bodies of responses: whole, or in pieces that an actor sends as it goes.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HyperBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// Pieces that may wait for the client.
const PIECES_MAX: usize = 16;

/// What a response carries.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    Pieces(mpsc::Receiver<Bytes>),
}

/// The sending end of a body in pieces; dropping it ends the body.
#[derive(Clone, Debug)]
pub struct BodySender(mpsc::Sender<Bytes>);

/// A piece was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyClosed {
    /// The client is slower than the sender: sixteen pieces wait for it. Here is the piece.
    #[error("the client does not keep up")]
    Full(Bytes),
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
}

impl BodySender {
    pub(super) fn new() -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        (Self(sender), Body::Pieces(receiver))
    }

    /// Sends a piece without waiting.
    ///
    /// # Errors
    /// [`BodyClosed`].
    pub fn try_send(&self, piece: impl Into<Bytes>) -> Result<(), BodyClosed> {
        self.0.try_send(piece.into()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(piece) => BodyClosed::Full(piece),
            mpsc::error::TrySendError::Closed(_) => BodyClosed::Gone,
        })
    }

    /// Sends a piece, waiting until the client has read others.
    ///
    /// # Errors
    /// [`BodyClosed::Gone`].
    pub async fn send(&self, piece: impl Into<Bytes>) -> Result<(), BodyClosed> {
        let sent = self.0.send(piece.into()).await;
        sent.map_err(|_| BodyClosed::Gone)
    }

    /// Whether the client is gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl HyperBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Body::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Body::Pieces(receiver) => ready!(receiver.poll_recv(cx)),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Pieces(_) => SizeHint::default(),
        }
    }
}
