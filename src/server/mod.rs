//! The server as a process: its life, its connections, its signals.

mod accept;
mod connections;
mod run;
mod signals;

pub use run::{ServeError, main, run};
pub use signals::Control;
