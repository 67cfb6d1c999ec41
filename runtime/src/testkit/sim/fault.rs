//! What goes wrong in a simulated network.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::micros;

/// A fault, of this module or of a simulation that has others beside.
pub trait AnyFault:
    Clone + fmt::Debug + fmt::Display + PartialEq + Serialize + DeserializeOwned
{
    /// How long it lasts, if it is to end.
    fn span(&self) -> Option<Duration>;
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// What runs on a host is killed, and started again.
    Crash {
        /// Which.
        host: String,
        /// After this time.
        #[serde(rename = "span_us", with = "micros")]
        down: Duration,
    },
    /// Nothing gets from one host to the other, nor back.
    Cut {
        /// One of them.
        a: String,
        /// The other.
        b: String,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
    /// Nothing gets from one host to the other; the other way works.
    CutOneWay {
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
    /// Connections between two hosts break now and then.
    Loss {
        /// One of them.
        a: String,
        /// The other.
        b: String,
        /// Losses in a thousand segments.
        per_mille: u32,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
    /// Everything takes longer.
    Slow {
        /// At most.
        #[serde(rename = "latency_us", with = "micros")]
        latency: Duration,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
    /// What goes between two hosts takes longer.
    SlowLink {
        /// One of them.
        a: String,
        /// The other.
        b: String,
        /// At most.
        #[serde(rename = "latency_us", with = "micros")]
        latency: Duration,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
    /// The clock of a host is wrong; it steps when that begins, and back when it ends.
    Skew {
        /// Whose.
        host: String,
        /// By so much at first, in milliseconds.
        offset_ms: i64,
        /// And by so much more, in microseconds a second.
        drift_ppm: i64,
        /// For how long.
        #[serde(rename = "span_us", with = "micros")]
        span: Duration,
    },
}

impl AnyFault for Fault {
    fn span(&self) -> Option<Duration> {
        match self {
            Fault::Crash { down: span, .. }
            | Fault::Cut { span, .. }
            | Fault::CutOneWay { span, .. }
            | Fault::Loss { span, .. }
            | Fault::Slow { span, .. }
            | Fault::SlowLink { span, .. }
            | Fault::Skew { span, .. } => Some(*span),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash { host, down } => write!(f, "{host} is killed for {down:?}"),
            Fault::Cut { a, b, span } => write!(f, "{a} and {b} are cut off for {span:?}"),
            Fault::CutOneWay { from, to, span } => {
                write!(f, "nothing gets from {from} to {to} for {span:?}")
            }
            Fault::Loss {
                a,
                b,
                per_mille,
                span,
            } => write!(
                f,
                "{a} and {b} lose {per_mille} segments in 1000 for {span:?}"
            ),
            Fault::Slow { latency, span } => {
                write!(f, "messages take up to {latency:?} for {span:?}")
            }
            Fault::SlowLink {
                a,
                b,
                latency,
                span,
            } => write!(
                f,
                "messages between {a} and {b} take up to {latency:?} for {span:?}"
            ),
            Fault::Skew {
                host,
                offset_ms,
                drift_ppm,
                span,
            } => write!(
                f,
                "the clock of {host} is wrong by {offset_ms} ms and {drift_ppm} ppm for {span:?}"
            ),
        }
    }
}
