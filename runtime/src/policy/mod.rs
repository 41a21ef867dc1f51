//! Policy: what a container may be, decided before anything is done.
//!
//! A level is a set of [`Rule`]s. [`judge`](judge::judge) asks each of them about one configuration; a rule takes away,
//! fills in a protection that is missing, or refuses, and never gives. What comes out is a [`Verdict`]: the narrowed
//! configuration, which the plan is then made from, with every change and every refusal by the id of its rule.
//!
//! Rules work on the configuration and not on the plan's list of operations, for two reasons. A refusal has to name the
//! place in config.json, which a list of operations does not know any more. And `plan/order.rs` stays the one place that
//! knows the order of operations. That rules only narrow is proven on plans all the same: `plan::grants` says what a plan
//! gives, and a property test compares before and after.
//!
//! This room is pure. `policy_file` reads what the administrator wrote, `commands` brings both together.

mod capabilities;
pub mod catalogue;
pub mod choose;
pub mod date;
mod devices;
pub mod document;
pub mod enforcement;
mod exec;
mod filters;
pub mod judge;
mod labels;
pub mod level;
mod masks;
mod mounts;
mod namespaces;
mod process;
mod resources;
pub mod rule;
pub mod sensitive;
pub mod show;
pub mod standard;
mod sysctls;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use choose::{Caller, Choice, Subject, choose};
pub use date::Date;
pub use document::Document;
pub use enforcement::{Enforcement, ExecMode, Lacking, Said, SeccompChoice};
pub use exec::{ExecVerdict, exec, update};
pub use labels::{categories, sandbox};
pub use level::{Level, Mode};
pub use mounts::{Seen, overlay_layers};
pub use rule::{Effect, Rule};
pub use verdict::{Change, Note, Refusal, Verdict, Why, denied};
