//! That policy only narrows: what a plan gives is compared before and after.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod configs;
mod dimensions;
#[path = "../facts/mod.rs"]
mod facts;
mod rules;
