//! HTTP per actor: requests under `/<actor>/...` on the node's own port are messages to that actor.
//!
//! An actor lists its routes in [`Serves`], by hand. Each
//! request waits in the actor's mailbox like any message and its handler runs like any handler:
//! one at a time, with the actor's state at hand. A full mailbox is answered with 503.
//!
//! ```
//! use tepui_runtime::{http::{HttpError, HttpRequest, HttpRoutes, Json, Serves}, prelude::*};
//!
//! struct Counter { count: u64 }
//!
//! impl Actor for Counter { type Context = Context<Self>; }
//! accepts!(Counter:);
//!
//! impl Serves for Counter {
//!     fn serve(routes: &mut HttpRoutes<Self>) {
//!         routes.get("/count", "How often it was counted.", |counter: &mut Self, _, _| {
//!             Json(counter.count)
//!         });
//!         routes.post("/add/{n}", "Counts on.", |counter: &mut Self, request: HttpRequest, _| {
//!             counter.count += request.get::<u64>("n")?;
//!             Ok::<_, HttpError>(Json(counter.count))
//!         });
//!     }
//! }
//! ```
//!
//! The node itself answers `/`, `/help`, `/<actor>/help`, `/__actors__` and `/metrics`: pages for
//! browsers, JSON for everybody else. Who may ask is said by [`HttpAccess`], what it may cost by
//! [`HttpLimits`]. Read `server` for connections, `dispatch` for what answers what.

mod body;
mod dispatch;
mod error;
mod metrics;
mod pages;
mod pattern;
mod request;
mod response;
mod routes;
mod server;
mod stall;

use std::time::Duration;

pub use hyper::{
    HeaderMap, Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

pub use self::{
    body::{BodyClosed, BodySender},
    error::HttpError,
    request::HttpRequest,
    response::{Html, HttpReply, HttpResponse, IntoHttp, Json},
    routes::{Holding, HttpRoutes, Probe, ProbeNone, ProbeServes, Serves},
};
pub(crate) use self::{
    routes::{Handle, RouteInfo},
    server::{Server, Visit},
};

/// Who may use HTTP on a node. Requests that a page of another site sends are always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpAccess {
    /// Nobody: such connections are closed.
    Off,
    /// Clients on the same machine, by its loopback addresses and names.
    #[default]
    Loopback,
    /// Whoever reaches the port. Routes change state and `/__actors__` tells names: say this only
    /// on a network that is trusted.
    Anyone,
}

/// What HTTP may cost a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; one more is answered with 503. Default 256.
    pub connections: usize,
    /// Requests on one connection before it is closed. Default 1,000.
    pub requests_per_connection: usize,
    /// Bytes of a request's line and headers, 8,192 or more. Default 16 KiB.
    pub header_bytes: usize,
    /// Bytes of a request's body. Default 1 MiB.
    pub body_bytes: usize,
    /// How long the headers of a request may take, and a connection may idle. Default 10 s.
    pub header_timeout: Duration,
    /// How long a request's body may take. Default 30 s.
    pub body_timeout: Duration,
    /// How long an actor may take to answer. Default 30 s.
    pub answer_timeout: Duration,
    /// How long a client may leave what was written to it unread. Default 30 s.
    pub stall_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            requests_per_connection: 1000,
            header_bytes: 16 * 1024,
            body_bytes: 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
        }
    }
}
