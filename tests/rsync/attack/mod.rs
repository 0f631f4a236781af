//! The sender breaks the rules, one lie at a time. After every attack `Arena::holds` looks at what
//! must hold: an end of its own, nothing outside touched, memory flat, no secret inside.

mod daemon;
mod known;
mod list;
mod race;
mod start;
mod transfer;
