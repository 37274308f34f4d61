//! `fer-train`: CSV rows → augmented batches → network → checkpoint → model folder, and what measures it.
//!
//! - `cli`, `commands`: flags and subcommands; `stages` runs the teachers, then the student
//! - `data`: the CSV layouts, streamed
//! - `recipe`: every number a run depends on
//! - `augment`: one face → one random view of it
//! - `network`, `optim`: the table of layers, forward and backward; SGD and Adam
//! - `distill`: soft targets, from the run's own predictions or from teachers
//! - `run`: the training loop, its checkpoints and records
//! - `export`: checkpoint → model folder: weights with batch norm folded, scores, int8 ranges, card
//! - `score`: accuracy, F1, log-loss, calibration, confusion; temperature, robustness, rows that splits share
//! - `plots`: diagrams of the scores
//!
//! The public items are the ones that `benches/training.rs` and `tests/train` use.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "a program: nothing but its own bench and tests uses the public items"
)]

mod augment;
mod cli;
mod commands;
mod data;
mod distill;
mod error;
mod export;
#[cfg(test)]
#[path = "../../../tests/support/flags.rs"]
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod network;
mod optim;
mod output;
mod plots;
mod recipe;
mod run;
mod score;
mod sys;

use std::process::ExitCode;

use clap::Parser;

pub use augment::plain;
pub use distill::cross_entropy;
use error::TrainError;
pub use network::{Network, TrainingPrecision, channels_last, cpu_has_bf16, to_batch};
pub use optim::{Optimiser, OptimiserStep, average};
pub use recipe::{Dropout, Method, Recipe};
pub use run::{load_average, load_network};

pub fn run() -> ExitCode {
    let done = match cli::Cli::parse().command {
        cli::Command::Fit(args) => commands::run_fit(&args),
        cli::Command::Eval(args) => commands::run_eval(&args),
        cli::Command::Predict(args) => commands::run_predict(&args),
        cli::Command::Export(args) => commands::run_export(&args),
    };
    ExitCode::from(done.unwrap_or_else(|e| {
        output::say(&format!("error: {e}"));
        e.exit_code()
    }))
}
