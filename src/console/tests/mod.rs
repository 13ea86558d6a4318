//! Tests of the console without a terminal: what keys do, what screens look like, and the loop with answers made up.

mod audit;
mod enrol;
pub(super) mod fixture;
mod flow;
mod frame;
mod home;
mod jobs;
mod list;
mod plain;
mod random;
mod screens;
