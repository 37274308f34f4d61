//! The server as a process: its life, its connections, its signals.

mod accept;
mod connections;
mod run;
mod signals;

pub(crate) use run::main;
pub use run::run;
pub use signals::Control;
