//! `fer-serve predict FILE…`: the pipeline on the calling thread, without a server.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use fer_engine::{Classifier, emotion::Probabilities};
use fer_image::{
    Face, Limits,
    helper::{Bounds, Decoder, Ended, Failure, Grant, Helpers, Outcome, Task, Work},
};
use serde::Serialize;

use super::{complain, exit_code};
use crate::{
    batcher::run_engine,
    config::PredictArgs,
    http::{
        problem::Problem,
        types::{Failed, ModelRef, One, Scores},
    },
    loaded_model::load_engine,
    pipeline::DecodeError,
};

/// Images that go through the engine together.
const BATCH: usize = 32;
/// Memory and processor time for decoding one image.
const MEMORY: u64 = 2 << 30;
const TIME: Duration = Duration::from_secs(10);

/// One line of JSON for each file, in order: what `/predict` would answer, or `{"error": problem}`, which also goes to
/// standard error with the file's name.
///
/// Exit code 0 if every file has an answer, else 1.
pub(super) fn predict(args: &PredictArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    match predict_files(args, &mut out).and_then(|all| out.flush().map(|()| all).map_err(|e| e.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => exit_code(Err(error)),
    }
}

/// Whether every file has an answer.
fn predict_files(args: &PredictArgs, out: &mut impl Write) -> Result<bool, String> {
    let (manifest, mut engine) = load_engine(&args.model).map_err(|e| e.to_string())?;
    let limits = Limits {
        max_pixels: args.max_pixels,
        ..Limits::default()
    };
    let mut decoder = decoder()?;
    let mut all = true;
    for files in args.files.chunks(BATCH) {
        let decoded: Vec<_> = files
            .iter()
            .map(|file| decode(&mut decoder, file, limits))
            .collect();
        let faces: Vec<_> = decoded.iter().filter_map(|d| d.as_ref().ok()).cloned().collect();
        let mut answers = classify(&mut *engine, &faces)?.into_iter();
        for (file, decoded) in files.iter().zip(decoded) {
            let missing = || (Problem::internal("an answer is missing"), String::new());
            match decoded.and_then(|_| answers.next().ok_or_else(missing)) {
                Ok(probabilities) => {
                    let answer = Scores::from(probabilities);
                    let model = ModelRef::from(&manifest);
                    line(out, &One { answer, model })?;
                }
                Err((problem, why)) => {
                    all = false;
                    complain(&format!("{}: {why}", file.display()));
                    let error = problem.body(None);
                    line(out, &Failed { error })?;
                }
            }
        }
    }
    Ok(all)
}

/// A confined decoder, or one in this process where the system allows no other.
fn decoder() -> Result<Decoder, String> {
    Decoder::start(Helpers::Confined, MEMORY, 0)
        .or_else(|error| {
            tracing::warn!(%error, "pictures are decoded in this process, without limits of memory and time");
            Decoder::start(Helpers::InProcess, MEMORY, 0)
        })
        .map_err(|e| e.to_string())
}

/// The face, or the problem that a server would answer and the reason as a user at the terminal may see it.
fn decode(decoder: &mut Decoder, file: &Path, limits: Limits) -> Result<Face, (Problem, String)> {
    let bytes = fs::read(file).map_err(|e| {
        (
            Problem::bad_request("the file cannot be read"),
            format!("cannot be read: {e}"),
        )
    })?;
    let bounds = Bounds {
        limits,
        grant: Grant {
            memory: MEMORY,
            ..Grant::ALL
        },
        processor: TIME,
        deadline: Instant::now() + 10 * TIME,
    };
    let failed = |error: DecodeError| {
        let why = error
            .detail()
            .map_or_else(|| error.to_string(), |inside| format!("{error} ({inside})"));
        (Problem::from(error), why)
    };
    let task = Task {
        work: &Work::Face,
        file: &bytes,
        bounds: &bounds,
    };
    match decoder.run_alone(&task) {
        Ok(Outcome::Face { face, .. }) => Ok(*face),
        Ok(Outcome::Found { .. } | Outcome::Heavy(_)) => Err(failed(DecodeError::TooCostly(Ended::Memory))),
        Err(Failure::Image(error)) => Err(failed(error.into())),
        Err(Failure::Ended(ended)) => Err(failed(DecodeError::TooCostly(ended))),
        Err(error @ (Failure::Detector(_) | Failure::Unavailable(_))) => {
            Err((Problem::internal(error.to_string()), error.to_string()))
        }
    }
}

fn classify(engine: &mut dyn Classifier, faces: &[Face]) -> Result<Vec<Probabilities>, String> {
    let logits = run_engine(engine, faces).map_err(|e| e.to_string())?;
    let probabilities = logits.iter().map(Probabilities::from_logits);
    probabilities.collect::<Result<_, _>>().map_err(|e| e.to_string())
}

fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string(value).map_err(|e| e.to_string())?;
    writeln!(out, "{text}").map_err(|e| format!("cannot write the answer: {e}"))
}
