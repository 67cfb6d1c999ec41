//! Trace context: which trace a piece of work belongs to, as the W3C recommendation has it.
//!
//! Owns [`TraceContext`], its text (`traceparent`), and the context that is current while a
//! handler runs. A message takes the current context along, and the handler of that message gets
//! a child of it: a span of its own that knows its parent. Without a current context nothing
//! travels and nothing is paid for but the look at a thread-local.
//!
//! A trace begins where somebody [enters](enter) a context, or runs a future [`within`] one:
//!
//! ```
//! use tepui_runtime::trace::{self, TraceContext};
//!
//! let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
//! let context: TraceContext = text.parse()?;
//! assert_eq!(trace::current(), None);
//! {
//!     let _entered = trace::enter(context);
//!     assert_eq!(trace::current(), Some(context));
//! }
//! assert_eq!(context.to_string(), text);
//! # Ok::<(), trace::InvalidTraceContext>(())
//! ```
//!
//! Not carried: `tracestate`. Timers start without a context.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    marker::PhantomData,
    num::{NonZeroU64, NonZeroU128},
    pin::Pin,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use serde::{Deserialize, Serialize};

mod handling;
#[cfg(test)]
mod tests;

pub(crate) use handling::Handling;

/// The longest `traceparent` that is looked at, in bytes; version 00 has 55.
const TEXT_BYTES_MAX: usize = 512;
/// Bytes of a context between nodes.
pub(crate) const BINARY_BYTES: usize = 25;

/// Names a trace; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

/// Names one span of a trace; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

/// A place in a trace: the span that runs, and whether the trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

/// A text is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{problem}; a traceparent is 00-<32 hexadecimal digits>-<16 digits>-<2 digits>, in lower case"
)]
pub struct InvalidTraceContext {
    problem: &'static str,
}

impl TraceId {
    /// The id with this value; `None` for zero.
    pub fn new(value: u128) -> Option<Self> {
        NonZeroU128::new(value).map(Self)
    }

    /// Its value.
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    /// The id with this value; `None` for zero.
    pub fn new(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    /// Its value.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl TraceContext {
    /// A place in a trace.
    pub fn new(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self {
            trace,
            span,
            sampled,
        }
    }

    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The span that runs.
    pub fn span_id(&self) -> SpanId {
        self.span
    }

    /// Whether whoever began the trace records it. Spans are entered either way.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The same trace with another span.
    pub fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// The context between nodes: trace and span, big endian, and the flags.
    pub(crate) fn to_bytes(self) -> [u8; BINARY_BYTES] {
        let mut bytes = [0; BINARY_BYTES];
        bytes[..16].copy_from_slice(&self.trace.get().to_be_bytes());
        bytes[16..24].copy_from_slice(&self.span.get().to_be_bytes());
        bytes[24] = u8::from(self.sampled);
        bytes
    }

    /// What [`TraceContext::to_bytes`] wrote; `None` for anything else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BINARY_BYTES] = bytes.try_into().ok()?;
        let (trace, rest) = bytes.split_first_chunk::<16>()?;
        let (span, flags) = rest.split_first_chunk::<8>()?;
        Some(Self {
            trace: TraceId::new(u128::from_be_bytes(*trace))?,
            span: SpanId::new(u64::from_be_bytes(*span))?,
            sampled: flags[0] & 1 == 1,
        })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

//= w3c-trace-context §3.2: later versions are read as far as 00 goes; only `sampled` is passed on.
impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| InvalidTraceContext { problem };
        if text.len() < 55 || text.len() > TEXT_BYTES_MAX || !text.is_ascii() {
            return Err(wrong("not of the right length"));
        }
        let (head, rest) = text.split_at(55);
        let bytes = head.as_bytes();
        if [2, 35, 52].iter().any(|&at| bytes[at] != b'-') {
            return Err(wrong("a hyphen is missing"));
        }
        let version = hex(&head[..2]).ok_or(wrong("bad version"))?;
        match version {
            0xff => return Err(wrong("version ff is not allowed")),
            0 if !rest.is_empty() => return Err(wrong("not of the right length")),
            _ if !rest.is_empty() && !rest.starts_with('-') => {
                return Err(wrong("a hyphen is missing"));
            }
            _ => {}
        }
        let trace = hex(&head[3..35]).and_then(TraceId::new);
        let span = hex(&head[36..52]).and_then(|id| SpanId::new(u64::try_from(id).ok()?));
        let flags = hex(&head[53..]).ok_or(wrong("bad flags"))?;
        Ok(Self {
            trace: trace.ok_or(wrong("bad trace id"))?,
            span: span.ok_or(wrong("bad span id"))?,
            sampled: flags & 1 == 1,
        })
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.to_string()
    }
}

impl TryFrom<String> for TraceContext {
    type Error = InvalidTraceContext;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Lower-case hexadecimal digits and nothing else; at most 32.
fn hex(text: &str) -> Option<u128> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let lower = text.bytes().all(digit);
    lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The context of the code at hand.
#[inline]
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// Restores the context that was current before, when dropped.
#[derive(Debug)]
#[must_use = "the context is current until this is dropped"]
pub struct Entered {
    before: Option<TraceContext>,
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

/// Makes `context` current on this thread until the guard is dropped. For code that awaits, see
/// [`within`].
pub fn enter(context: TraceContext) -> Entered {
    Entered {
        before: CURRENT.replace(Some(context)),
        thread: PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Runs `future` with `context` current whenever it is polled.
pub fn within<F: Future>(context: TraceContext, future: F) -> Within<F> {
    Within {
        context,
        future: Box::pin(future),
    }
}

/// The future of [`within`].
#[derive(Debug)]
pub struct Within<F> {
    context: TraceContext,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = enter(self.context);
        self.future.as_mut().poll(cx)
    }
}

/// A node's source of ids: a sequence that its address and incarnation seed, so that no two nodes
/// share one and a simulation is the same each time.
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn span(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.next()) {
                return id;
            }
        }
    }

    pub(crate) fn trace(&self) -> TraceId {
        let high = u128::from(self.span().get()) << 64;
        TraceId(NonZeroU128::MIN.saturating_add(high | u128::from(self.next() >> 1)))
    }

    /// splitmix64: each state gives another number.
    fn next(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(GOLDEN, Ordering::Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
