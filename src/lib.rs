//! `fer-serve`: an HTTP service that says which expression a face shows. ARCHITECTURE.md describes the modules and follows
//! a request through them.
//!
//! ```text
//! HTTP body → EncodedImage → Face → batcher → engine → Probabilities → JSON
//! ```

mod app;
mod auth;
mod batcher;
mod commands;
pub mod config;
#[cfg(test)]
#[path = "../tests/support/flags.rs"]
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod loaded_model;
mod observability;
mod panics;
mod pipeline;
mod reload;
pub mod server;
mod sys;
mod tls;

pub use commands::main;
pub use http::{Route, routes};
