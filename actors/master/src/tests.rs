//! What a framework, an agent and an operator notice of the state machine; named after the oracles of
//! the inventory (F1, ...) where there is one.

mod agents;
mod allocation;
mod backoff;
mod chaos;
mod frameworks;
mod gangs;
mod groups;
mod invariants;
mod maintenance;
mod offers;
mod operations;
mod operators;
mod quota;
mod reconciliation;
mod reservations;
mod revocation;
mod service;
mod tasks;
