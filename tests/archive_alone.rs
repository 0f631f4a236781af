//! The archive room compiles and passes its own tests outside the crate: it leans
//! on nothing of ours. An import of another room fails here as unresolved.

#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, unused_qualifications)]

#[path = "../src/archive/mod.rs"]
mod archive;
