//! What answers a request: the node itself, or an actor's route.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::{
    Method, Request, StatusCode,
    body::{Body as _, Incoming},
    header::{ACCEPT, ALLOW, HeaderValue, RETRY_AFTER},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    HttpError, HttpLimits, HttpReply, HttpRequest, HttpResponse, IntoHttp, Json, metrics,
    pages::{self, Help},
    pattern::segments,
    request::{parse_query, percent_decode},
    routes::{Call, Miss, find},
};
use crate::{
    Node, Undeliverable,
    cell::AnyCell,
    trace::{self, TraceContext},
};

/// Segments of a path that are looked at.
const SEGMENTS_MAX: usize = 64;
/// Names in an answer that says what there is.
pub(super) const NAMES_MAX: usize = 50;

/// Answers one request.
pub(super) async fn answer(
    node: Node,
    from: &str,
    limits: &HttpLimits,
    request: Request<Incoming>,
) -> HttpResponse {
    let path: Vec<String> = segments(request.uri().path())
        .take(SEGMENTS_MAX)
        .map(percent_decode)
        .collect();
    let html = wants_html(&request);
    if let Some(answer) = own(&node, request.method(), &path, html) {
        return answer;
    }
    let Some((cell, depth)) = actor(&node, &path) else {
        return no_actor(&node, &path, html);
    };
    // Kept no longer than the answer needs it.
    drop(node);
    let below = &path[depth..];
    let call = match find(cell.http_routes(), request.method(), below) {
        Ok(call) => call,
        Err(miss) => return own_of(&*cell, request.method(), below, html, miss),
    };
    let request = match whole(from, limits, below, request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_http(),
    };
    ask(cell, call, request, limits).await
}

/// Pages are for browsers; everybody else gets JSON.
fn wants_html<B>(request: &Request<B>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|a| a.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The node's own pages.
fn own(node: &Node, method: &Method, path: &[String], html: bool) -> Option<HttpResponse> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let page: fn(&Node, bool) -> HttpResponse = match path[..] {
        [] => pages::index,
        ["help"] => pages::help,
        ["__actors__"] => pages::actors,
        ["metrics"] => metrics::answer,
        _ => return None,
    };
    Some(read_only(method, || page(node, html)))
}

fn read_only(method: &Method, page: impl FnOnce() -> HttpResponse) -> HttpResponse {
    match *method {
        Method::GET | Method::HEAD => page(),
        _ => wrong_method(method, &[Method::GET]),
    }
}

/// The actor that the path begins with (names may have slashes: the longest is meant), and how
/// many segments name it.
fn actor(node: &Node, path: &[String]) -> Option<(Arc<dyn AnyCell>, usize)> {
    let named = |depth: usize| Some((node.cell_named(&path[..depth].join("/"))?, depth));
    (1..=path.len()).rev().find_map(named)
}

/// An actor's pages that are no routes of its own, and what else is not there.
fn own_of(
    cell: &dyn AnyCell,
    method: &Method,
    below: &[String],
    html: bool,
    miss: Miss,
) -> HttpResponse {
    let help = below.is_empty() || (below.len() == 1 && below[0] == "help");
    match miss {
        Miss::NoPath if help => read_only(method, || pages::help_of(&Help::of(cell), html)),
        Miss::NoPath => no_route(cell, below, html),
        Miss::NoMethod(methods) => wrong_method(method, &methods),
    }
}

fn wrong_method(method: &Method, there: &[Method]) -> HttpResponse {
    let mut allow: Vec<&str> = there.iter().map(Method::as_str).collect();
    if there.contains(&Method::GET) {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    let allow = allow.join(", ");
    let answer = match *method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_http(),
        _ => HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not answered here"),
        )
        .fix(format!("use {allow}"))
        .into_http(),
    };
    match HeaderValue::from_str(&allow) {
        Ok(allow) => answer.header(ALLOW, allow),
        Err(_) => answer,
    }
}

fn no_actor(node: &Node, path: &[String], html: bool) -> HttpResponse {
    let name = path.first().map_or("", String::as_str);
    let names = node.cells().into_iter().take(NAMES_MAX);
    let there = names
        .map(|cell| format!("/{}", cell.pid().name()))
        .chain(["/help", "/__actors__", "/metrics"].map(str::to_owned));
    let error = HttpError::not_found(format!("no actor is named {name:?} on this node"));
    pages::not_found(error, there.collect(), html)
}

fn no_route(cell: &dyn AnyCell, below: &[String], html: bool) -> HttpResponse {
    let name = cell.pid().name();
    let routes = cell.http_routes().iter().take(NAMES_MAX);
    let there = routes
        .map(|route| format!("{} /{name}{}", route.method, route.path))
        .chain([format!("GET /{name}/help")]);
    let error = HttpError::not_found(format!("{name} has no route /{}", below.join("/")));
    pages::not_found(error, there.collect(), html)
}

/// Reads the request to its end, within the bounds.
async fn whole(
    from: &str,
    limits: &HttpLimits,
    below: &[String],
    request: Request<Incoming>,
) -> Result<HttpRequest, HttpError> {
    let (parts, body) = request.into_parts();
    let reading = timeout(limits.body_timeout, read(body, limits.body_bytes));
    let late = |_| {
        HttpError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")
            .fix(format!("send it within {:?}", limits.body_timeout))
    };
    Ok(HttpRequest {
        method: parts.method,
        path: format!("/{}", below.join("/")),
        parameters: Vec::new(),
        query: parse_query(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body: reading.await.map_err(late)??,
        from: from.to_owned(),
    })
}

async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, HttpError> {
    let too_large = || {
        HttpError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {limit} bytes"),
        )
        .fix("send less at a time")
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        let frame = frame.map_err(|error| HttpError::bad_request(format!("the body: {error}")))?;
        // Trailers are of no interest.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > limit {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Puts the request into the actor's mailbox and waits for the answer.
async fn ask(
    cell: Arc<dyn AnyCell>,
    call: Call,
    mut request: HttpRequest,
    limits: &HttpLimits,
) -> HttpResponse {
    let pid = cell.pid().clone();
    let parent = request
        .header("traceparent")
        .map(str::parse::<TraceContext>);
    request.parameters = call.parameters;
    let (sender, receiver) = oneshot::channel();
    let posted = {
        let _trace = parent.and_then(Result::ok).map(trace::enter);
        cell.post_http(call.index, request, HttpReply(sender))
    };
    // Kept no longer than the actor: a handler may take its time.
    drop(cell);
    if let Err(reason) = posted {
        return refused(pid.name(), &reason);
    }
    let unanswered = |status, what: &str, fix: &str| {
        HttpError::new(status, format!("{} {what}", pid.name()))
            .fix(fix)
            .into_http()
    };
    match timeout(limits.answer_timeout, receiver).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => unanswered(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ended, or its handler crashed, before it answered",
            "see /__actors__ for its last exit, and the log of the node",
        ),
        Err(_) => unanswered(
            StatusCode::GATEWAY_TIMEOUT,
            &format!("did not answer within {:?}", limits.answer_timeout),
            "see /__actors__ for what waits in its mailbox",
        ),
    }
}

fn refused(name: &str, reason: &Undeliverable) -> HttpResponse {
    let status = match reason {
        Undeliverable::NoSuchActor => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let error = HttpError::new(status, format!("{name}: {reason}"));
    if status == StatusCode::NOT_FOUND {
        return error.fix("it has just ended; see /__actors__").into_http();
    }
    let retry = HeaderValue::from_static("1");
    let error = error.fix("try again in a second");
    error.into_http().header(RETRY_AFTER, retry)
}

/// What a page shows, for readers that are no people.
pub(super) fn json(value: &impl serde::Serialize) -> HttpResponse {
    Json(value).into_http()
}
