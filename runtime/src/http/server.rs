//! HTTP connections: who is let in, and what each may cost.
//!
//! The links' listener looks at the first bytes of a connection and hands those that begin with an
//! HTTP request over. Each is a task of its own that shares nothing with the links but the port.

use std::{
    convert::Infallible,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::BytesMut;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, join},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    HttpAccess, HttpError, HttpLimits, IntoHttp, body::Body, dispatch, response::HttpResponse,
    stall::Impatient,
};
use crate::{
    Node,
    node::{Inner, spawn_task},
    transport::{ReadHalf, WriteHalf},
};

/// A connection that speaks HTTP.
pub(crate) struct Visit {
    pub(crate) read: ReadHalf,
    pub(crate) write: WriteHalf,
    /// What was read of it already.
    pub(crate) first: BytesMut,
    /// Whence, as the transport names it.
    pub(crate) from: String,
}

/// The HTTP side of a node.
pub(crate) struct Server {
    pub(crate) access: HttpAccess,
    limits: HttpLimits,
    slots: Arc<Semaphore>,
    /// Becomes true when connections are to end.
    stop: watch::Sender<bool>,
    counts: Arc<Counts>,
}

/// Answers by class of status.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; 5]);

impl Counts {
    fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }

    /// Answers with `1xx`, `2xx` and so on.
    pub(crate) fn by_class(&self) -> [u64; 5] {
        std::array::from_fn(|n| self.0[n].load(Ordering::Relaxed))
    }
}

/// One connection's part in the server.
struct Visitor {
    /// A client keeps no node alive.
    node: Weak<Inner>,
    from: String,
    limits: HttpLimits,
    access: HttpAccess,
    counts: Arc<Counts>,
    requests: AtomicUsize,
    _slot: OwnedSemaphorePermit,
}

impl Server {
    pub(crate) fn new(access: HttpAccess, limits: HttpLimits) -> Self {
        Self {
            access,
            limits,
            slots: Arc::new(Semaphore::new(limits.connections)),
            stop: watch::Sender::new(false),
            counts: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Connections at the moment.
    pub(crate) fn connections(&self) -> usize {
        self.limits.connections - self.slots.available_permits()
    }

    /// Serves a connection. To be called within the node's tokio runtime.
    pub(crate) fn take(&self, node: &Node, visit: Visit) {
        if self.access == HttpAccess::Off {
            return;
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.counts.count(StatusCode::SERVICE_UNAVAILABLE);
            return spawn_task(turn_away(visit, self.limits));
        };
        let visitor = Visitor {
            node: Arc::downgrade(&node.inner),
            from: visit.from.clone(),
            limits: self.limits,
            access: self.access,
            counts: self.counts.clone(),
            requests: AtomicUsize::new(0),
            _slot: slot,
        };
        let stop = self.stop.subscribe();
        spawn_task(serve(visit, Arc::new(visitor), stop));
    }

    /// Ends all connections once the requests at hand are answered.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

async fn serve(visit: Visit, visitor: Arc<Visitor>, mut stop: watch::Receiver<bool>) {
    let limits = visitor.limits;
    let read = std::io::Cursor::new(visit.first).chain(visit.read);
    let stream = Impatient::new(join(read, visit.write), limits.stall_timeout);
    let service = service_fn(move |request| {
        let visitor = visitor.clone();
        async move { Ok::<_, Infallible>(visitor.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8192))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = until_stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let ending = timeout(limits.header_timeout, connection).await;
            ending.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Waits for the node to stop, or to be gone.
async fn until_stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Too many at a time.
async fn turn_away(mut visit: Visit, limits: HttpLimits) {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                   Connection: close\r\n\r\n";
    let telling = async {
        visit.write.write_all(answer).await?;
        visit.write.shutdown().await
    };
    // Whoever does not even read this is not waited for.
    let _ = timeout(limits.header_timeout, telling).await;
}

impl Visitor {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = match allowed(self.access, &self.from, &request) {
            Ok(()) => match self.node.upgrade() {
                Some(inner) => {
                    let node = Node { inner };
                    dispatch::answer(node, &self.from, &self.limits, request).await
                }
                None => StatusCode::SERVICE_UNAVAILABLE.into_http(),
            },
            Err(refusal) => refusal.into_http(),
        };
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if requests >= self.limits.requests_per_connection {
            let close = HeaderValue::from_static("close");
            response.headers.insert(CONNECTION, close);
        }
        self.counts.count(response.status);
        finish(response)
    }
}

fn finish(response: HttpResponse) -> Response<Body> {
    let mut finished = Response::new(response.body);
    *finished.status_mut() = response.status;
    *finished.headers_mut() = response.headers;
    finished
}

/// Whether a client may ask at all.
fn allowed<B>(access: HttpAccess, from: &str, request: &Request<B>) -> Result<(), HttpError> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let host = header("host").or_else(|| request.uri().authority().map(|a| a.as_str()));
    // A page of another site in a browser on this machine is not its user.
    let origin = header("origin").map(|o| o.split_once("://").map_or(o, |(_, host)| host));
    let foreign = origin.is_some() && origin != host;
    if foreign || header("sec-fetch-site") == Some("cross-site") {
        return Err(forbidden(
            "requests from pages of other sites are refused",
            "",
        ));
    }
    if access == HttpAccess::Anyone {
        return Ok(());
    }
    if !is_local(host_of(from)) {
        let fix = "ask on the machine itself, or start the node with \
                   NodeBuilder::http(HttpAccess::Anyone)";
        return Err(forbidden("HTTP is served to this machine only", fix));
    }
    // A name of somebody else's that leads here is how a browser is tricked into asking.
    match host {
        Some(host) if !is_local(host_of(host)) && host_of(host) != host_of(from) => Err(forbidden(
            &format!("host {host:?} is no name of this machine's loopback"),
            "use 127.0.0.1 or localhost in the URL",
        )),
        _ => Ok(()),
    }
}

fn forbidden(error: &str, fix: &str) -> HttpError {
    HttpError::new(StatusCode::FORBIDDEN, error).fix(fix)
}

/// Without the port.
fn host_of(addr: &str) -> &str {
    let end = addr.rfind(']').map_or(0, |end| end + 1);
    let host = match addr[end..].rfind(':') {
        Some(colon) => &addr[..end + colon],
        None => addr,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_local(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(addr) => addr.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(access: HttpAccess, from: &str, headers: &[(&str, &str)]) -> Result<(), HttpError> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        allowed(access, from, &request.body(()).unwrap())
    }

    #[test]
    fn only_this_machine_is_served_unless_said_otherwise() {
        let ok = |from, host| ask(HttpAccess::Loopback, from, &[("host", host)]).is_ok();
        assert!(ok("127.0.0.1:40000", "127.0.0.1:5050"));
        assert!(ok("127.0.0.1:40000", "localhost:5050"));
        assert!(ok("[::1]:40000", "[::1]:5050"));
        assert!(ok("[::ffff:127.0.0.1]:40000", "localhost"));
        assert!(!ok("10.0.0.7:40000", "10.0.0.1:5050"));
        assert!(!ok("127.0.0.1:40000", "evil.example:5050"));
        assert!(ask(HttpAccess::Anyone, "10.0.0.7:1", &[("host", "x")]).is_ok());
    }

    #[test]
    fn pages_of_other_sites_are_refused_everywhere() {
        for access in [HttpAccess::Loopback, HttpAccess::Anyone] {
            let from = |origin| {
                let headers = [("host", "127.0.0.1:5050"), ("origin", origin)];
                ask(access, "127.0.0.1:1", &headers)
            };
            assert!(from("http://127.0.0.1:5050").is_ok());
            assert!(from("http://evil.example").is_err());
            assert!(from("null").is_err());
            let fetch = [("host", "127.0.0.1:5050"), ("sec-fetch-site", "cross-site")];
            assert!(ask(access, "127.0.0.1:1", &fetch).is_err());
        }
    }
}
