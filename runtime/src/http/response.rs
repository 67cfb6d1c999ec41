//! Responses, and what handlers may return in their place.

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    HttpError,
    body::{Body, BodySender},
};

/// An answer.
#[derive(Debug)]
pub struct HttpResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl HttpResponse {
    /// An answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Body::Whole(Bytes::new()),
        }
    }

    /// 200 with this body.
    pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.body = Body::Whole(body.into());
        response.header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// 200 with a body that the actor sends piece by piece, as long as it keeps the sender. At
    /// most sixteen pieces wait for a slow client.
    pub fn pieces(content_type: &'static str) -> (BodySender, Self) {
        let (sender, body) = BodySender::new();
        let mut response = Self::bytes(content_type, Bytes::new());
        response.body = body;
        (sender, response)
    }

    /// The same with another status.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with this header set.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What a handler may return.
pub trait IntoHttp {
    /// The answer.
    fn into_http(self) -> HttpResponse;
}

/// A value as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html(pub String);

impl IntoHttp for HttpResponse {
    fn into_http(self) -> HttpResponse {
        self
    }
}

impl<T: Serialize> IntoHttp for Json<T> {
    fn into_http(self) -> HttpResponse {
        match serde_json::to_vec(&self.0) {
            Ok(mut body) => {
                body.push(b'\n');
                HttpResponse::bytes("application/json", body)
            }
            Err(problem) => HttpError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the answer cannot be written as JSON: {problem}"),
            )
            .into_http(),
        }
    }
}

impl IntoHttp for Html {
    fn into_http(self) -> HttpResponse {
        HttpResponse::bytes("text/html; charset=utf-8", self.0)
    }
}

impl IntoHttp for String {
    fn into_http(self) -> HttpResponse {
        HttpResponse::bytes("text/plain; charset=utf-8", self)
    }
}

impl IntoHttp for &'static str {
    fn into_http(self) -> HttpResponse {
        HttpResponse::bytes("text/plain; charset=utf-8", self)
    }
}

impl IntoHttp for Bytes {
    fn into_http(self) -> HttpResponse {
        HttpResponse::bytes("application/octet-stream", self)
    }
}

impl IntoHttp for StatusCode {
    fn into_http(self) -> HttpResponse {
        HttpResponse::new(self)
    }
}

impl IntoHttp for () {
    fn into_http(self) -> HttpResponse {
        HttpResponse::new(StatusCode::NO_CONTENT)
    }
}

impl<T: IntoHttp> IntoHttp for (StatusCode, T) {
    fn into_http(self) -> HttpResponse {
        self.1.into_http().status(self.0)
    }
}

impl<T: IntoHttp, E: IntoHttp> IntoHttp for Result<T, E> {
    fn into_http(self) -> HttpResponse {
        match self {
            Ok(answer) => answer.into_http(),
            Err(refusal) => refusal.into_http(),
        }
    }
}

impl IntoHttp for HttpError {
    fn into_http(self) -> HttpResponse {
        let status = self.status;
        Json(self).into_http().status(status)
    }
}

/// The way back to the client. Dropped unused, the client is told that no answer will come.
#[derive(Debug)]
pub struct HttpReply(pub(super) oneshot::Sender<HttpResponse>);

impl HttpReply {
    /// Answers; in vain when the client no longer waits.
    pub fn send(self, answer: impl IntoHttp) {
        let _ = self.0.send(answer.into_http());
    }

    /// Whether the client no longer waits.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
