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

mod crashes;
mod cuts;
mod disk_full;
mod docs;
mod drop_folder;
mod first_cut;
mod floors;
mod hostile;
mod night;
mod operations;
mod push_clients;
mod reader;
mod refusals;
mod swap_under_load;
mod trees;
mod trust;
mod windows;
