//! The client's side of the rsync protocol, 27 to 32, written from the notes on the wire, not from
//! the library under test: honest by default, and every byte can be made to lie.

pub mod list;
pub mod numbers;
pub mod session;

pub use list::Entry;
pub use session::{End, Head, Request, Session, Start};
