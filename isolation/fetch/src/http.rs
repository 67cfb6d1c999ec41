//! A client for HTTP and HTTPS: GET, redirects, and no patience with silent servers.
//!
//! One connection a request: what is fetched is large, and seldom twice from the same server. The
//! connection is driven by whoever reads the answer, so that nothing runs when nobody reads.

mod tls;

use std::{
    future::{Future, poll_fn},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::error::Problem;

const REDIRECTS_MAX: usize = 10;

/// Gets things from servers.
#[derive(Debug)]
pub(crate) struct Client {
    stall: Duration,
    ca_file: Option<PathBuf>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// Fields of a request beside those that every one has.
pub(crate) type Fields = Vec<(HeaderName, HeaderValue)>;

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    server: String,
    stall: Duration,
    body: Incoming,
    connection: Option<Connection>,
}

type Connection = Pin<Box<dyn Future<Output = Result<(), hyper::Error>>>>;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Client {
    pub(crate) fn new(stall: Duration, ca_file: Option<PathBuf>) -> Self {
        Self {
            stall,
            ca_file,
            tls: OnceLock::new(),
        }
    }

    /// Gets `url`, following redirects. `secret` fields go to the first server alone.
    pub(crate) async fn get(
        &self,
        url: &str,
        fields: &Fields,
        secret: &Fields,
    ) -> Result<Answer, Problem> {
        let mut at = parse(url)?;
        let first = server_of(&at);
        for _ in 0..REDIRECTS_MAX {
            let mut all = fields.clone();
            if server_of(&at) == first {
                all.extend(secret.iter().cloned());
            }
            let answer = self.once(&at, &all).await?;
            let target = answer
                .headers
                .get(header::LOCATION)
                .filter(|_| is_redirect(answer.status));
            let Some(target) = target else {
                return Ok(answer);
            };
            let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
            let next = relative(&at, &target)?;
            if at.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                let server = server_of(&at);
                let problem = format!("leads from https to {next}; not followed");
                return Err(Problem::Server { server, problem });
            }
            at = next;
        }
        Err(Problem::Server {
            server: first,
            problem: format!("leads on {REDIRECTS_MAX} times and more"),
        })
    }

    async fn once(&self, uri: &Uri, fields: &Fields) -> Result<Answer, Problem> {
        let server = server_of(uri);
        let failed = |problem: String| Problem::Server {
            server: server.clone(),
            problem,
        };
        let asked = async {
            let stream = self.connect(uri).await?;
            let shook = http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = shook.map_err(|error| error.to_string())?;
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let host = uri.authority().map_or("", |authority| authority.as_str());
            let host = host.rsplit('@').next().unwrap_or_default();
            let mut request = Request::get(path)
                .header(header::HOST, host)
                .header(header::USER_AGENT, "tepui-fetch")
                .header(header::CONNECTION, "close");
            for (name, value) in fields {
                request = request.header(name, value);
            }
            let request = request
                .body(String::new())
                .map_err(|error| error.to_string())?;
            let mut connection: Option<Connection> = Some(Box::pin(connection));
            let mut answer = Box::pin(sender.send_request(request));
            let answer = poll_fn(|cx| {
                drive(&mut connection, cx);
                answer.as_mut().poll(cx)
            });
            let answer = answer.await.map_err(|error| text(&error))?;
            Ok::<_, String>((answer, connection))
        };
        let (answer, connection) = match timeout(self.stall, asked).await {
            Ok(asked) => asked.map_err(failed)?,
            Err(_) => {
                let after = self.stall;
                return Err(Problem::Stalled { server, after });
            }
        };
        let (head, body) = answer.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            server,
            stall: self.stall,
            body,
            connection,
        })
    }

    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Stream>, String> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        if !is_secure {
            return Ok(Box::new(stream));
        }
        let config = self
            .tls
            .get_or_init(|| tls::client(self.ca_file.as_deref()))
            .clone()?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
    }
}

impl Answer {
    /// The same, if it is what was asked for.
    pub(crate) fn ok(self) -> Result<Self, Problem> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(Problem::Status {
                server: self.server,
                status: self.status.to_string(),
            }),
        }
    }

    /// How long the body will be, where the server says so.
    pub(crate) fn length(&self) -> Option<u64> {
        let text = self.headers.get(header::CONTENT_LENGTH)?;
        text.to_str().ok()?.parse().ok()
    }

    /// The next piece of the body; none at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let (body, connection) = (&mut self.body, &mut self.connection);
            let frame = poll_fn(|cx| {
                drive(connection, cx);
                Pin::new(&mut *body).poll_frame(cx)
            });
            let server = || self.server.clone();
            let frame = match timeout(self.stall, frame).await {
                Err(_) => {
                    return Err(Problem::Stalled {
                        server: server(),
                        after: self.stall,
                    });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(Problem::Server {
                        server: server(),
                        problem: format!("broke off: {}", text(&error)),
                    });
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // What is not data is of no interest here.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn drive(connection: &mut Option<Connection>, cx: &mut std::task::Context<'_>) {
    if let Some(running) = connection
        && let Poll::Ready(_) = running.as_mut().poll(cx)
    {
        // How it ended is told by the answer, too.
        *connection = None;
    }
}

fn text(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn server_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port_u16()
        .map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse(url: &str) -> Result<Uri, Problem> {
    // What follows a # is the browser's business.
    let url = url.split('#').next().unwrap_or_default();
    let uri: Uri = url
        .parse()
        .map_err(|error| Problem::Refused(format!("{url:?} is no URL: {error}")))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(Problem::Refused(format!(
            "{url:?} is no URL that begins with http:// or https://"
        ))),
    }
}

/// Where `target` leads from `at`.
//= rfc-9110, 10.2.2: Location may be relative
fn relative(at: &Uri, target: &str) -> Result<Uri, Problem> {
    if target.contains("://") {
        return parse(target);
    }
    let scheme = at.scheme_str().unwrap_or("http");
    let authority = at.authority().map_or("", |authority| authority.as_str());
    if let Some(rest) = target.strip_prefix("//") {
        return parse(&format!("{scheme}://{rest}"));
    }
    if target.starts_with('/') {
        return parse(&format!("{scheme}://{authority}{target}"));
    }
    let directory = at
        .path()
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    parse(&format!("{scheme}://{authority}{directory}/{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_may_be_relative() {
        let at = parse("https://host:1/a/b?c").unwrap();
        for (target, found) in [
            ("http://other/x", "http://other/x"),
            ("//other/x", "https://other/x"),
            ("/x?y", "https://host:1/x?y"),
            ("x", "https://host:1/a/x"),
        ] {
            assert_eq!(relative(&at, target).unwrap().to_string(), found);
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "host/x",
            "ftp://host/x",
            "http://",
            "http:///x",
            "http://a b",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("URL"), "{url}: {error}");
        }
        assert_eq!(parse("http://h/a#b").unwrap().to_string(), "http://h/a");
    }
}
