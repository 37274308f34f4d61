//! `fer-serve`: reads the configuration, starts the log, runs the command, returns its exit code.

use std::process::ExitCode;

use fer_serve::{
    commands,
    config::{Command, Config},
    observability::log,
    server,
};

fn main() -> ExitCode {
    match Config::parse_from(std::env::args_os()) {
        Ok(Command::Run(config)) => {
            log::init(&config.log);
            server::main(*config)
        }
        Ok(Command::Predict(args)) => {
            log::init(&args.log);
            commands::predict(&args)
        }
        Ok(Command::Bench(args)) => {
            log::init(&args.log);
            commands::bench(&args)
        }
        Ok(Command::Healthcheck(args)) => commands::healthcheck(&args),
        Err(error) => error.exit(),
    }
}
