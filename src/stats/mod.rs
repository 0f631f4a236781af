//! Who consulted the results, and what: the access log and the figures drawn from it.
//!
//! Owns `var/access` (one file a day, combined format and what T-31 adds) and `var/stats` (SQLite, which can be
//! made again from the log). Imports `model`, `durable` and `clock`.
//!
//! The one flow: an answer that ends becomes a [`Hit`] → [`Sink::offer`], which never waits.

mod hit;
mod query;
#[cfg(test)]
mod seen;
mod sink;

pub use hit::{Asked, Hit, Observed, Protocol, Tls};
pub use query::{Bucket, Class, PageCount, QueryError, Slot, Stay, Summary, Totals, Window, query};
#[cfg(test)]
pub(crate) use seen::Seen;
pub use sink::Sink;
