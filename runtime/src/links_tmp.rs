//! Temporary stand-in until the link layer lands.
#![allow(dead_code)]
use std::{sync::{Arc, Weak}, time::Duration};
use futures_util::future::BoxFuture;
use crate::{NodeAddr, frame::Frame, links::{Inbound, Refused}, transport::Transport};
#[derive(Clone, Default)]
pub(crate) struct LinkConfig { pub(crate) incarnation: u64, pub(crate) max_frame: usize, pub(crate) heartbeat: Duration, pub(crate) lost_after: Duration }
/// Cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen")]
pub struct BindError;
#[derive(Clone)]
pub(crate) struct Links(NodeAddr);
impl Links {
    pub(crate) async fn bind(addr: &NodeAddr, _: Option<NodeAddr>, _: LinkConfig, _: Arc<dyn Transport>) -> Result<Links, BindError> { Ok(Links(addr.clone())) }
    pub(crate) fn addr(&self) -> &NodeAddr { &self.0 }
    pub(crate) fn serve(&self, _: Weak<dyn Inbound>) {}
    pub(crate) fn send(&self, _: &NodeAddr, _: Frame) -> Result<(), Refused> { Err(Refused::Stopped) }
    pub(crate) fn send_wait(&self, _: &NodeAddr, _: Frame) -> BoxFuture<'static, Result<(), Refused>> { Box::pin(async { Err(Refused::Stopped) }) }
    pub(crate) async fn shutdown(&self) {}
}
