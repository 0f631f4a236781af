//! Behaviour of the whole program, against the real clients. One file per behaviour.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod acme;
mod admin;
mod ahead;
mod alerts;
mod caching_proxy;
mod crashes;
mod credentials;
mod cuts;
mod disk_full;
mod docs;
mod doctor;
mod drop_folder;
mod fairness;
mod first_cut;
mod floors;
mod handover;
mod hostile;
mod http_letter;
mod increments;
mod late_sums;
mod memoria;
mod memoria_readers;
mod monitoring;
mod namespaces;
mod night;
mod operations;
mod packaging;
mod paper;
mod pauses;
#[path = "../rsync/peer.rs"]
#[allow(dead_code, reason = "what the hand-written sender needs of it")]
mod peer;
mod push_clients;
mod reader;
mod refusals;
mod reload;
mod rsync_daemon;
mod rsync_delta;
mod rsync_hostile;
mod rsync_memory;
mod rsync_old;
mod rsync_sources;
mod rsync_ssh;
mod rsync_transactions;
#[path = "../rsync/run.rs"]
#[allow(dead_code, reason = "what the hand-written sender needs of it")]
mod run;
mod sandbox;
mod siege;
mod statistics;
mod steady;
mod swap_under_load;
mod trees;
mod trust;
mod units;
mod windows;
#[path = "../rsync/wire/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a sender for more tests than these")]
mod wire;
