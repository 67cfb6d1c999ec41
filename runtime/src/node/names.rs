//! Names on other nodes: who bears one there, asked of the node itself.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Node, remote::RemoteReply};
use crate::{
    AnyPid, AskError, Message, NodeAddr, Undeliverable, links::Arriving, reliable::Reliable,
};

/// The name that messages to a node as such are addressed to. No actor needs to bear it.
pub(crate) const NODE: &str = "$node";

/// Who bears the name?
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Lookup", reply = Option<AnyPid>)]
struct Lookup {
    name: String,
}

impl Node {
    /// The PID of the actor named `name` on the node at `addr`, if there is one.
    ///
    /// # Errors
    /// [`AskError`]: the node does not answer within the deadline, cannot be reached, or is too old
    /// to know the question.
    pub async fn lookup_at(
        &self,
        addr: &NodeAddr,
        name: &str,
        deadline: Duration,
    ) -> Result<Option<AnyPid>, AskError> {
        if addr == self.addr() {
            return Ok(self.lookup(name));
        }
        let node = AnyPid::new(NODE, addr.clone()).expect("a name that is well formed");
        let name = name.to_owned();
        self.ask(&node, Lookup { name }, deadline).await
    }

    /// Answers what is asked of the node itself; the future, if any, is to be awaited.
    pub(crate) fn serve(
        &self,
        parcel: Arriving<'_>,
        reply: Option<RemoteReply>,
    ) -> Option<BoxFuture<'static, ()>> {
        let mut reply = reply.unwrap_or_else(|| RemoteReply::then(|_| ()));
        match &**parcel.name {
            Lookup::NAME => match Lookup::decode(parcel.body) {
                Ok(lookup) => reply.reply::<Lookup>(&self.lookup(&lookup.name)),
                Err(error) => reply.refuse(error.into()),
            },
            Reliable::NAME => match Reliable::decode(parcel.body) {
                Ok(reliable) => return self.take_reliable(reliable, reply),
                Err(error) => reply.refuse(error.into()),
            },
            name => {
                let name = name.to_owned();
                reply.refuse(Undeliverable::NotAccepted { name });
            }
        }
        None
    }
}
