//! `fer-train`: trains the network, measures it, exports it.

use std::process::ExitCode;

use clap::Parser;
use fer_train::{
    cli::{Cli, Command},
    commands, eval,
    progress::say,
};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Fit(args) => commands::run_fit(&args),
        Command::Eval(args) => eval::run_eval(&args),
        Command::Predict(args) => commands::run_predict(&args),
        Command::Export(args) => commands::run_export(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            say(&format!("error: {e}"));
            ExitCode::from(e.exit_code())
        }
    }
}
