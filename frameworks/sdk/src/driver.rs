//! The driver's state machine: turns the master's messages into callbacks of the scheduler and the
//! scheduler's calls into messages.
//!
//! Owns what every framework needs and none should write: subscribing and keeping the framework id,
//! finding out that the master is gone, reconciling after it is back, dropping duplicates,
//! acknowledging. Pure; `actor.rs` is its shell. The subscription itself is in `session.rs`.
//!
//! Order of effects for one update: what the scheduler kept, then its calls, then the
//! acknowledgement, so that an update is acknowledged only when its consequences are durable.

pub(crate) mod effect;
mod seen;
mod session;
mod tasks;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use tepui_protocol::{
    FrameworkId, FrameworkInfo, Offer, Operation, OperationState, OperationStatus, Reason, Source,
    TaskState, TaskStatus, Timestamp,
    messages::scheduler::{
        Failure, InverseOffers, Rescind, RescindInverseOffer, RevocationNotice, Subscribed,
    },
};
use tepui_runtime::AnyPid;
use tepui_store::{Contents, Write};

use self::{
    effect::{Effect, Timer},
    seen::{Seen, Sight},
    session::{Session, Welcome},
};
use crate::{
    calls::{Call, Calls, End},
    framework::FrameworkError,
    scheduler::{Kept, Scheduler},
};

/// Why what nobody took is dropped.
const NO_MASTER: &str = "launched while no master was connected";

/// The key of the framework's id in its store.
const FRAMEWORK_ID: &str = "framework_id";
/// What the scheduler's own keys begin with in the store.
const KEPT: &str = "kept/";
/// How long an ending framework waits for a lost master, to tell it.
const GIVE_UP: Duration = Duration::from_secs(10);

/// The driver's intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The longest wait before the first attempt to subscribe again; doubled after each.
    pub backoff_first: Duration,
    /// The longest wait between attempts.
    pub backoff_max: Duration,
    /// Heartbeats missed in a row that mean a lost master.
    pub heartbeats_missed: u32,
    /// About how often the states of all live tasks are asked for. What is not answered is asked
    /// for again after 1, 2, 4 ... seconds.
    pub reconcile_every: Duration,
}

impl Default for Timing {
    /// Half a second, doubled up to 5 s; 3 heartbeats; one minute.
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(5),
            heartbeats_missed: 3,
            reconcile_every: Duration::from_secs(60),
        }
    }
}

/// The state machine around one scheduler.
pub(crate) struct Driver {
    scheduler: Box<dyn Scheduler>,
    acknowledges_itself: bool,
    session: Session,
    seen: Seen,
    /// Statuses made here, for launches that no master could take.
    made_here: VecDeque<MadeHere>,
    ending: bool,
}

impl Driver {
    /// A driver `me` for the framework `info`.
    ///
    /// # Errors
    /// When the store holds something else than a framework id where one should be.
    pub(crate) fn new(
        me: AnyPid,
        mut info: FrameworkInfo,
        scheduler: Box<dyn Scheduler>,
        timing: Timing,
        seed: u64,
        stored: &Contents,
    ) -> Result<Self, FrameworkError> {
        if let Some(id) = stored.get(FRAMEWORK_ID) {
            info.id = Some(tepui_store::get::<FrameworkId>(FRAMEWORK_ID, id)?);
        }
        Ok(Self {
            acknowledges_itself: scheduler.acknowledges_itself(),
            scheduler,
            session: Session::new(me, info, timing, seed),
            seen: Seen::default(),
            made_here: VecDeque::new(),
            ending: false,
        })
    }

    /// Gives the scheduler what it kept, and subscribes.
    pub(crate) fn start(&mut self, now: Timestamp, stored: Contents, out: &mut Vec<Effect>) {
        let own = |(key, value): (String, Vec<u8>)| Some((key.strip_prefix(KEPT)?.into(), value));
        let kept: Kept = stored.into_iter().filter_map(own).collect();
        self.call(now, out, |scheduler, calls| scheduler.restored(calls, kept));
        self.session.subscribe(out);
    }

    pub(crate) fn on_subscribed(&mut self, now: Timestamp, msg: Subscribed, out: &mut Vec<Effect>) {
        let (id, master) = (msg.framework_id.clone(), msg.master_id.clone());
        let known = self.session.framework_id() == Some(&id);
        let welcome = self.session.subscribed(now, msg, out);
        if welcome == Welcome::Repeated {
            return;
        }
        if !known {
            out.push(Effect::Write(tepui_store::put(FRAMEWORK_ID, &id)));
        }
        if self.ending {
            return self.end(End::Teardown, out);
        }
        if welcome == Welcome::Replaced {
            self.call(now, out, |scheduler, calls| scheduler.disconnected(calls));
        }
        self.session.reconcile_all(out);
        self.call(now, out, |scheduler, calls| match welcome {
            Welcome::First => scheduler.registered(calls, &id, &master),
            _ => scheduler.reregistered(calls, &master),
        });
    }

    pub(crate) fn on_offers(&mut self, now: Timestamp, offers: Vec<Offer>, out: &mut Vec<Effect>) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| scheduler.offers(calls, offers));
        }
    }

    pub(crate) fn on_rescind(&mut self, now: Timestamp, msg: Rescind, out: &mut Vec<Effect>) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| {
                scheduler.rescinded(calls, msg.offer_id)
            });
        }
    }

    pub(crate) fn on_inverse_offers(
        &mut self,
        now: Timestamp,
        msg: InverseOffers,
        out: &mut Vec<Effect>,
    ) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| {
                scheduler.inverse_offers(calls, msg.inverse_offers);
            });
        }
    }

    pub(crate) fn on_inverse_rescind(
        &mut self,
        now: Timestamp,
        msg: RescindInverseOffer,
        out: &mut Vec<Effect>,
    ) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| {
                scheduler.inverse_rescinded(calls, msg.inverse_offer_id);
            });
        }
    }

    pub(crate) fn on_revocation(
        &mut self,
        now: Timestamp,
        msg: RevocationNotice,
        out: &mut Vec<Effect>,
    ) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| {
                scheduler.revocation(calls, msg)
            });
        }
    }

    pub(crate) fn on_operation(
        &mut self,
        now: Timestamp,
        status: OperationStatus,
        out: &mut Vec<Effect>,
    ) {
        if self.hears_master(now) {
            self.tell_operation(now, status, out);
            self.tell_made_here(now, out);
        }
    }

    fn tell_operation(&mut self, now: Timestamp, status: OperationStatus, out: &mut Vec<Effect>) {
        let mut acknowledge = Calls::default();
        if !self.acknowledges_itself {
            acknowledge.acknowledge_operation(&status);
        }
        let calls = self.recorded(now, |scheduler, calls| scheduler.operation(calls, status));
        self.carry_all(now, before_end(calls, acknowledge.take()), out);
    }

    pub(crate) fn on_failure(&mut self, now: Timestamp, msg: Failure, out: &mut Vec<Effect>) {
        if self.hears_master(now) {
            self.call(now, out, |scheduler, calls| scheduler.failure(calls, msg));
        }
    }

    pub(crate) fn on_heartbeat(&mut self, now: Timestamp) {
        self.session.heard(now);
    }

    pub(crate) fn on_update(&mut self, now: Timestamp, status: TaskStatus, out: &mut Vec<Effect>) {
        if !self.hears_master(now) {
            return;
        }
        let acknowledge = acknowledgement(&status);
        match status.uuid.map(|uuid| self.seen.deliver(uuid)) {
            Some(Sight::Delivered) => return,
            Some(Sight::Acknowledged) => return self.carry_all(now, acknowledge, out),
            Some(Sight::New) | None => {}
        }
        self.session.tasks.told(&status);
        let mut calls = self.recorded(now, |scheduler, calls| scheduler.update(calls, status));
        if !self.acknowledges_itself {
            calls = before_end(calls, acknowledge);
        }
        self.carry_all(now, calls, out);
        self.tell_made_here(now, out);
    }

    /// The master refuses the framework.
    pub(crate) fn on_error(&mut self, now: Timestamp, message: String, out: &mut Vec<Effect>) {
        self.call(now, out, |scheduler, calls| {
            scheduler.error(calls, &message)
        });
        out.push(Effect::Stop(Err(FrameworkError::Refused { message })));
    }

    /// The master does not know this subscription: it has restarted, or had given the link up.
    pub(crate) fn on_not_subscribed(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.on_lost(now, out);
    }

    /// The monitor of the master has fired.
    pub(crate) fn on_exited(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.session.monitor_fired();
        self.on_lost(now, out);
    }

    pub(crate) fn on_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Subscribe { epoch } if self.session.is_current(epoch) => {
                self.session.subscribe(out);
            }
            Timer::Liveness { epoch } if self.session.is_current(epoch) => {
                if self.session.is_silent(now, out) {
                    self.on_lost(now, out);
                }
            }
            Timer::Reconcile { epoch } if self.session.is_current(epoch) => {
                self.session.reconcile(out);
            }
            Timer::Scheduler { token } => {
                self.call(now, out, |scheduler, calls| scheduler.timer(calls, token));
            }
            Timer::GiveUp => out.push(Effect::Stop(Ok(()))),
            Timer::Subscribe { .. } | Timer::Liveness { .. } | Timer::Reconcile { .. } => {}
        }
    }

    /// Ends, on the scheduler's or the program's wish.
    pub(crate) fn end(&mut self, end: End, out: &mut Vec<Effect>) {
        if end == End::Leave || self.session.teardown(out) {
            return out.push(Effect::Stop(Ok(())));
        }
        if !std::mem::replace(&mut self.ending, true) {
            out.push(Effect::Timer {
                after: GIVE_UP,
                timer: Timer::GiveUp,
            });
        }
    }

    fn on_lost(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.session.lost(out) && !self.ending {
            self.call(now, out, |scheduler, calls| scheduler.disconnected(calls));
        }
    }

    /// Whether a message of the master counts: it is from the subscription that is in force, and
    /// the scheduler still wants to hear.
    fn hears_master(&mut self, now: Timestamp) -> bool {
        self.session.heard(now);
        self.session.is_joined() && !self.ending
    }

    /// Runs one callback and carries out what it asked for.
    fn call(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Effect>,
        callback: impl FnOnce(&mut dyn Scheduler, &mut Calls),
    ) {
        let calls = self.recorded(now, callback);
        self.carry_all(now, calls, out);
        self.tell_made_here(now, out);
    }

    /// Hands the scheduler what was made here in place of a master.
    fn tell_made_here(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while let Some(status) = self.made_here.pop_front() {
            let calls = self.recorded(now, |scheduler, calls| match status {
                MadeHere::Task(status) => scheduler.update(calls, status),
                MadeHere::Operation(status) => scheduler.operation(calls, status),
            });
            self.carry_all(now, calls, out);
        }
    }

    fn recorded(
        &mut self,
        now: Timestamp,
        callback: impl FnOnce(&mut dyn Scheduler, &mut Calls),
    ) -> Vec<Call> {
        let mut calls = Calls::at(now).of(self.session.framework_id().cloned());
        callback(self.scheduler.as_mut(), &mut calls);
        calls.take()
    }

    fn carry_all(
        &mut self,
        now: Timestamp,
        calls: impl IntoIterator<Item = Call>,
        out: &mut Vec<Effect>,
    ) {
        calls
            .into_iter()
            .for_each(|call| self.carry(now, call, out));
    }

    fn carry(&mut self, now: Timestamp, call: Call, out: &mut Vec<Effect>) {
        match call {
            Call::Write(write) => out.push(Effect::Write(under_kept(write))),
            Call::After { delay, token } => {
                out.push(Effect::Timer {
                    after: delay,
                    timer: Timer::Scheduler { token },
                });
            }
            Call::Stop(end) => self.end(end, out),
            Call::Fail(message) => {
                out.push(Effect::Stop(Err(FrameworkError::Failed { message })));
            }
            Call::Acknowledge { uuid, .. } => {
                self.seen.acknowledge(uuid);
                self.session.carry(call, out);
            }
            Call::Accept { ref operations, .. } => {
                let joined = self.session.is_joined();
                self.note_launches(now, operations, joined);
                self.session.carry(call, out);
            }
            other => {
                self.session.carry(other, out);
            }
        }
    }

    /// Follows the tasks that are launched; those that no master takes are dropped at once.
    //= mesos, sched.cpp: tasks launched while disconnected are answered by the driver itself
    fn note_launches(&mut self, now: Timestamp, operations: &[Operation], joined: bool) {
        for operation in operations {
            if let Operation::Tracked(tracked) = operation
                && !joined
            {
                let status = OperationStatus {
                    id: tracked.id.clone(),
                    state: OperationState::Dropped,
                    message: NO_MASTER.to_owned(),
                    agent_id: None,
                };
                self.made_here.push_back(MadeHere::Operation(status));
            }
            for task in operation.tasks() {
                if joined {
                    self.session.tasks.launched(task);
                } else {
                    let status = dropped(now, task);
                    self.made_here.push_back(MadeHere::Task(status));
                }
            }
        }
    }
}

/// What is told in place of a master.
#[derive(Debug)]
enum MadeHere {
    Task(TaskStatus),
    Operation(OperationStatus),
}

/// Adds calls, before the one that ends the framework.
fn before_end(mut calls: Vec<Call>, more: Vec<Call>) -> Vec<Call> {
    let ends = |call: &Call| matches!(call, Call::Stop(_) | Call::Fail(_));
    let at = calls.iter().position(ends).unwrap_or(calls.len());
    calls.splice(at..at, more);
    calls
}

fn acknowledgement(status: &TaskStatus) -> Vec<Call> {
    let mut calls = Calls::default();
    calls.acknowledge(status);
    calls.take()
}

fn dropped(now: Timestamp, task: &tepui_protocol::TaskInfo) -> TaskStatus {
    let status = TaskStatus::new(task.id.clone(), TaskState::Dropped, Source::Master, now);
    let status = TaskStatus {
        agent_id: Some(task.agent_id.clone()),
        ..status
    };
    status.because(Reason::MasterDisconnected, NO_MASTER)
}

fn under_kept(write: Write) -> Write {
    let prefixed = |key| format!("{KEPT}{key}");
    match write {
        Write::Put { key, value } => Write::Put {
            key: prefixed(key),
            value,
        },
        Write::Delete { key } => Write::Delete { key: prefixed(key) },
    }
}
