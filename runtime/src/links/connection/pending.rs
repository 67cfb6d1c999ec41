//! What a connection is in the middle of writing: control frames, then a chunk.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::transport::WriteHalf;

/// See the module.
#[derive(Default)]
pub(super) struct Pending {
    control: BytesMut,
    head: Bytes,
    body: Bytes,
}

impl Pending {
    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.head.is_empty() && self.body.is_empty()
    }

    /// Where the next control frames go; empty once everything is written.
    pub(super) fn control(&mut self) -> &mut BytesMut {
        &mut self.control
    }

    /// The chunk that follows them.
    pub(super) fn begin(&mut self, head: Bytes, body: Bytes) {
        (self.head, self.body) = (head, body);
    }

    /// Writes all of it; how many bytes that were.
    pub(super) fn write(
        &mut self,
        half: &mut WriteHalf,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while !self.is_empty() {
            let bytes = ready!(self.write_some(half, context))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            written += bytes;
            self.advance(bytes);
        }
        Poll::Ready(Ok(written))
    }

    fn write_some(
        &self,
        half: &mut WriteHalf,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let half = Pin::new(half);
        if self.control.is_empty() && self.head.is_empty() {
            return half.poll_write(context, &self.body);
        }
        let parts = [
            IoSlice::new(&self.control),
            IoSlice::new(&self.head),
            IoSlice::new(&self.body),
        ];
        half.poll_write_vectored(context, &parts)
    }

    fn advance(&mut self, mut bytes: usize) {
        let control = bytes.min(self.control.len());
        self.control.advance(control);
        bytes -= control;
        let head = bytes.min(self.head.len());
        self.head.advance(head);
        self.body.advance(bytes - head);
        if self.body.is_empty() {
            self.body = Bytes::new();
        }
    }
}
