//! The commands of the program.

mod bench;
mod healthcheck;
mod predict;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    config::{Command, Config},
    observability::log,
    server,
};

/// Reads the configuration, starts the log, runs the command, returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    match Config::parse_from(std::env::args_os()) {
        Ok(Command::Run(config)) => {
            log::init(&config.log);
            server::main(*config)
        }
        Ok(Command::Predict(args)) => {
            log::init(&args.log);
            predict::predict(&args)
        }
        Ok(Command::Bench(args)) => {
            log::init(&args.log);
            bench::bench(&args)
        }
        Ok(Command::Healthcheck(args)) => healthcheck::healthcheck(&args),
        Err(error) => error.exit(),
    }
}

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
