//! `fer-serve`: read the configuration, start the log, run, hand back the exit code.

use std::process::ExitCode;

use fer_serve::{
    commands,
    config::{Command, Config},
    serve, telemetry,
};

fn main() -> ExitCode {
    match Config::parse_from(std::env::args_os()) {
        Ok(Command::Run(config)) => {
            telemetry::init(&config.log);
            serve::main(*config)
        }
        Ok(Command::Predict(args)) => {
            telemetry::init(&args.log);
            commands::predict(&args)
        }
        Ok(Command::Bench(args)) => {
            telemetry::init(&args.log);
            commands::bench(&args)
        }
        Ok(Command::Healthcheck(args)) => commands::healthcheck(&args),
        Err(error) => error.exit(),
    }
}
