//! The trait that a framework implements. What it may do in return is in `calls.rs`.

use std::collections::BTreeMap;

use tepui_protocol::{
    FrameworkId, InverseOffer, MasterId, Offer, OfferId, OperationStatus, TaskStatus,
    messages::scheduler::{Failure, RevocationNotice},
};

use crate::calls::Calls;

/// What a scheduler kept with [`Calls::keep`], by key; read the values with [`crate::store::get`].
pub type Kept = BTreeMap<String, Vec<u8>>;

/// A framework's own part: decides what to launch on which offer.
///
/// Callbacks come one at a time, on the driver's thread; none may block. What they ask of
/// [`Calls`] is carried out after they return, in order. A scheduler is a state machine without
/// clock or I/O, so that tests call it directly: `let mut calls = Calls::at(now);
/// scheduler.offers(&mut calls, offers); assert_eq!(calls.take(), ..)`.
///
/// ```text
///  restored -> registered -> offers, updates, ... -> disconnected -> reregistered -> offers, ...
/// ```
pub trait Scheduler: Send + 'static {
    /// Comes first and once: what an earlier life of this framework kept, empty at its first.
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        let _ = (calls, kept);
    }

    /// The framework is subscribed, for the first time in this process.
    fn registered(&mut self, calls: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        let _ = (calls, framework, master);
    }

    /// The framework is subscribed again, with the same master or its successor.
    fn reregistered(&mut self, calls: &mut Calls, master: &MasterId) {
        let _ = (calls, master);
    }

    /// The master is lost; tasks run on. All offers held are void. The driver keeps trying, and
    /// asks for the state of all live tasks when it is back.
    fn disconnected(&mut self, calls: &mut Calls) {
        let _ = calls;
    }

    /// Resources to use or to decline; each offer is held for this framework until answered.
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>);

    /// An offer is void.
    fn rescinded(&mut self, calls: &mut Calls, offer: OfferId) {
        let _ = (calls, offer);
    }

    /// The framework is asked to leave agents whose machines will be taken down. An answer ([`Calls::accept_inverse`],
    /// [`Calls::decline_inverse`]) tells operators; what is left there when the machine is taken down is lost.
    fn inverse_offers(&mut self, calls: &mut Calls, offers: Vec<InverseOffer>) {
        let _ = (calls, offers);
    }

    /// An inverse offer is void.
    fn inverse_rescinded(&mut self, calls: &mut Calls, offer: OfferId) {
        let _ = (calls, offer);
    }

    /// Tasks of this framework will be killed at `notice.deadline`, so that another role gets what it is guaranteed; or, without a
    /// deadline, may go on after all. One that is killed is told of as TASK_KILLED with REASON_CONTAINER_PREEMPTED.
    fn revocation(&mut self, calls: &mut Calls, notice: RevocationNotice) {
        let _ = (calls, notice);
    }

    /// News of a task. The same state may be told more than once (after failovers and by
    /// reconciliation); the same update is not. It is acknowledged when the callback has returned
    /// and what it kept is durable.
    fn update(&mut self, calls: &mut Calls, status: TaskStatus);

    /// What became of an operation with an id ([`tepui_protocol::Operation::Tracked`]). It is acknowledged when the callback has returned and
    /// what it kept is durable; until then it may be told more than once.
    fn operation(&mut self, calls: &mut Calls, status: OperationStatus) {
        let _ = (calls, status);
    }

    /// An agent, or an executor on it, is gone. The tasks lost with it are told of by updates.
    fn failure(&mut self, calls: &mut Calls, failure: Failure) {
        let _ = (calls, failure);
    }

    /// The master refuses this framework for good; the driver ends after this.
    fn error(&mut self, calls: &mut Calls, message: &str) {
        let _ = (calls, message);
    }

    /// A timer set with [`Calls::after`] is due.
    fn timer(&mut self, calls: &mut Calls, token: u64) {
        let _ = (calls, token);
    }

    /// Whether the scheduler acknowledges updates itself, with [`Calls::acknowledge`]. Asked once.
    fn acknowledges_itself(&self) -> bool {
        false
    }
}

impl Scheduler for Box<dyn Scheduler> {
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        self.as_mut().restored(calls, kept);
    }

    fn registered(&mut self, calls: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        self.as_mut().registered(calls, framework, master);
    }

    fn reregistered(&mut self, calls: &mut Calls, master: &MasterId) {
        self.as_mut().reregistered(calls, master);
    }

    fn disconnected(&mut self, calls: &mut Calls) {
        self.as_mut().disconnected(calls);
    }

    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.as_mut().offers(calls, offers);
    }

    fn rescinded(&mut self, calls: &mut Calls, offer: OfferId) {
        self.as_mut().rescinded(calls, offer);
    }

    fn inverse_offers(&mut self, calls: &mut Calls, offers: Vec<InverseOffer>) {
        self.as_mut().inverse_offers(calls, offers);
    }

    fn inverse_rescinded(&mut self, calls: &mut Calls, offer: OfferId) {
        self.as_mut().inverse_rescinded(calls, offer);
    }

    fn revocation(&mut self, calls: &mut Calls, notice: RevocationNotice) {
        self.as_mut().revocation(calls, notice);
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.as_mut().update(calls, status);
    }

    fn operation(&mut self, calls: &mut Calls, status: OperationStatus) {
        self.as_mut().operation(calls, status);
    }

    fn failure(&mut self, calls: &mut Calls, failure: Failure) {
        self.as_mut().failure(calls, failure);
    }

    fn error(&mut self, calls: &mut Calls, message: &str) {
        self.as_mut().error(calls, message);
    }

    fn timer(&mut self, calls: &mut Calls, token: u64) {
        self.as_mut().timer(calls, token);
    }

    fn acknowledges_itself(&self) -> bool {
        self.as_ref().acknowledges_itself()
    }
}
