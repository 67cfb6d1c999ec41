//! Looks at tasks: commands beside them, HTTP requests and connections to their ports.
//!
//! Ports of tasks that share the machine's network are at 127.0.0.1. A command runs in the
//! container of its task, if that has one, as the same user and under the same limits.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tepui_isolation::{Ended, Launched, ProcessIdentity, Signal};
use tepui_protocol::lifecycle::Probe;
use tokio::{net::TcpStream, sync::oneshot, time::timeout};

use super::system::WATCHER_STACK;
use crate::checker::ProbeResult;

const SIGKILL: i32 = 9;

/// Looks for no longer than `limit`, or for as long as it takes if that is zero. `launch` starts the
/// command of a command check, and may block. The task listens on `host`.
pub(super) fn look(
    probe: Probe,
    host: IpAddr,
    limit: Duration,
    launch: impl FnOnce() -> Result<Launched, ProbeResult> + Send + 'static,
) -> LocalBoxFuture<'static, ProbeResult> {
    let looking = async move {
        match probe {
            Probe::Command(_) => command(launch).await,
            Probe::Http { port, path } => http((host, port).into(), &path)
                .await
                .unwrap_or_else(|error| ProbeResult::Failed(error.to_string())),
            Probe::Tcp { port } => connect((host, port).into()).await,
        }
    };
    Box::pin(async move {
        match limit.is_zero() {
            true => looking.await,
            false => timeout(limit, looking)
                .await
                .unwrap_or(ProbeResult::TimedOut),
        }
    })
}

async fn connect(address: SocketAddr) -> ProbeResult {
    match TcpStream::connect(address).await {
        Ok(_) => ProbeResult::Connected(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            ProbeResult::Connected(false)
        }
        Err(error) => ProbeResult::Failed(format!("{address}: {error}")),
    }
}

/// The status of the answer; the body is not read.
async fn http(address: SocketAddr, path: &str) -> Result<ProbeResult, Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(if path.is_empty() { "/" } else { path })
        .header(header::HOST, format!("{address}"))
        .header(header::USER_AGENT, "tepui-check")
        .header(header::CONNECTION, "close")
        .body(String::new())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        ended = &mut connection => {
            ended?;
            // It may have ended with the answer.
            answer.await?
        }
    };
    Ok(ProbeResult::Answered(answer.status().as_u16()))
}

async fn command(
    launch: impl FnOnce() -> Result<Launched, ProbeResult> + Send + 'static,
) -> ProbeResult {
    let (started, is_started) = oneshot::channel();
    let (over, is_over) = oneshot::channel();
    let work = move || match launch() {
        Err(result) => drop(over.send(result)),
        Ok(launched) => {
            let running = Running(launched.identity());
            // Nobody waits any more: the look has taken too long already.
            if let Err(running) = started.send(running) {
                drop(running);
            }
            let _ = over.send(match launched.wait().map(|outcome| outcome.ended) {
                Ok(Ended::Signalled { signal: SIGKILL }) | Err(_) => ProbeResult::Killed,
                Ok(ended) => ProbeResult::Exited(ended.exit_code()),
            });
        }
    };
    let thread = std::thread::Builder::new().name("check".to_owned());
    if let Err(error) = thread.stack_size(WATCHER_STACK).spawn(work) {
        return ProbeResult::Failed(format!("cannot start a thread: {error}"));
    }
    // Held until the end, or until the look is given up.
    let _running = is_started.await;
    is_over
        .await
        .unwrap_or_else(|_| ProbeResult::Failed("the check was not done".to_owned()))
}

/// A command that is killed when nobody waits for it any more.
struct Running(ProcessIdentity);

impl Drop for Running {
    fn drop(&mut self) {
        // That it has ended is fine.
        let _ = self.0.signal_group(Signal::Kill);
    }
}
