//! What nodes log, for tests: every warning of this process.

use std::{
    fmt,
    sync::{Arc, Mutex, Once},
};

use tokio::sync::Notify;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NEW: Notify = Notify::const_new();
static START: Once = Once::new();

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        LINES.lock().unwrap().push(message.0);
        NEW.notify_waiters();
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// From now on warnings are kept.
pub(crate) fn keep() {
    START.call_once(|| {
        let recorder = Arc::new(Recorder);
        tracing::subscriber::set_global_default(recorder).expect("the only subscriber");
    });
}

/// Waits for a warning that has all `parts`, and returns it.
pub(crate) async fn warning(parts: &[&str]) -> String {
    loop {
        let new = NEW.notified();
        tokio::pin!(new);
        new.as_mut().enable();
        let lines = LINES.lock().unwrap().clone();
        let found = lines
            .iter()
            .find(|line| parts.iter().all(|part| line.contains(part)));
        if let Some(line) = found {
            return line.clone();
        }
        let waited = tokio::time::timeout(super::support::PATIENCE, new).await;
        assert!(waited.is_ok(), "no warning with {parts:?} in {lines:#?}");
    }
}
