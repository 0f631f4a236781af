//! The nouns of the trade, without I/O: what every room talks about.
//!
//! Owns: [`Cut`], [`Digest`], [`Stage`], [`Code`], [`Rejection`], [`Outcome`],
//! [`Receipt`], [`Event`] and the language people are spoken to in.
//! Imports `archive` alone, whose reasons get their codes here. Everything here is a value: built once, checked
//! at the border, passed on.

mod code;
mod contact;
mod cut;
mod digest;
mod event;
mod lang;
mod refused;
mod verdict;

pub use crate::archive::Detail;
pub use code::Code;
pub use contact::Contact;
pub use cut::{Cut, CutError};
pub use digest::{Digest, DigestError, Hasher};
pub use event::{Event, EventKind};
pub use lang::Lang;
pub use verdict::{Outcome, Receipt, Rejection, ReleaseId, Sender, Stage, Via, Wait, escape};
