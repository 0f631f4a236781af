//! difusor receives the results site that an electoral institute pushes, proves it
//! whole, publishes it atomically and serves it over HTTPS.

pub mod access;
pub mod admin;
pub mod alert;
pub mod app;
pub mod archive;
pub mod audit;
pub mod cadence;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod drop;
pub mod durable;
pub mod history;
pub mod incident;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod ntp;
pub mod package;
pub mod preflight;
pub mod publisher;
pub mod rehearsal;
pub mod release;
pub mod report;
pub mod rsync;
pub mod rsyncd;
pub mod sandbox;
pub mod simulate;
pub mod site;
pub mod ssh;
pub mod stats;
pub mod vigil;
pub mod web;
