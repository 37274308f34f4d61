//! The commands that do not serve: `predict`, `bench` and `healthcheck`.

mod bench;
mod healthcheck;
mod predict;

pub use bench::bench;
pub use healthcheck::healthcheck;
pub use predict::predict;

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Exit code 0, or 1 with the error on standard error.
fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(text: &str) {
    // Fails if standard error is closed; the exit code still tells.
    let _ = writeln!(io::stderr(), "fer-serve: {text}");
}
