//! Errors as a client sees them: a status, what was wrong, and what to do.

use hyper::StatusCode;
use serde::Serialize;

/// A refusal. As JSON: `{"error": "...", "fix": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{error}")]
pub struct HttpError {
    /// The status.
    #[serde(skip)]
    pub status: StatusCode,
    /// What was wrong, with the input.
    pub error: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl HttpError {
    /// A refusal; see [`HttpError::fix`] to say what to do.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            fix: String::new(),
        }
    }

    /// 400: the client's input makes no sense.
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// 404: there is no such thing.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// The same, with what to do.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}
