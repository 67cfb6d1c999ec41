//! One handling of a traced message: a child of the sender's span, current while the handler runs
//! and while the futures that it left behind do.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use super::{Entered, Ids, TraceContext, enter};
use crate::AnyPid;

/// The handling of one message.
pub(crate) struct Handling {
    context: TraceContext,
    span: tracing::Span,
}

/// Leaves the handling when dropped.
pub(crate) struct Inside<'a> {
    _context: Entered,
    _span: tracing::span::Entered<'a>,
}

impl Handling {
    /// `actor` is about to handle `message`, sent from within `parent`.
    pub(crate) fn new(parent: &TraceContext, ids: &Ids, actor: &AnyPid, message: &str) -> Self {
        let context = parent.with_span(ids.span());
        let span = tracing::info_span!(
            target: "tepui::handle",
            "handle",
            %actor,
            message,
            trace_id = %context.trace_id(),
            span_id = %context.span_id(),
            parent_id = %parent.span_id(),
        );
        Self { context, span }
    }

    /// What goes on now, to go on with later.
    pub(crate) fn current() -> Option<Self> {
        super::current().map(|context| Self {
            context,
            span: tracing::Span::current(),
        })
    }

    /// `future`, each poll of it in the handling.
    pub(crate) async fn within<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _inside = self.enter();
            future.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) fn enter(&self) -> Inside<'_> {
        Inside {
            _context: enter(self.context),
            _span: self.span.enter(),
        }
    }
}
