//! Proof of the receiving side of rsync, independent of its code: nothing here imports difusor.
//!
//! The server under test is a program (`RSYNC_PEER`, else the example `rsync_peer` beside this
//! test), driven by Debian's own clients (`matrix`) and by a hand-written sender (`wire`) that
//! keeps to the protocol (`honest`) or breaks it (`attack_*`). README.md here says how to run it.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod arena;
mod attack;
mod blocking;
mod cuts;
mod daemon;
mod honest;
mod matrix;
mod old_senders;
mod peer;
mod run;
mod tree;
mod wire;
