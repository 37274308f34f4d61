//! The commands that do not serve: `predict`, `bench` and `healthcheck`.

mod healthcheck;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

pub use healthcheck::healthcheck;

use serde::Serialize;

use crate::{
    batcher::panic_text,
    config::{BenchArgs, PredictArgs},
    emotion::Probabilities,
    engine::{Classifier, ModelFolder},
    http::{
        problem::Problem,
        types::{Failed, ModelRef, One, Scores},
    },
    image::{self, Face, Limits},
    model,
};

/// Pictures that go through the network together.
const BATCH: usize = 32;

/// `fer-serve predict FILE…`: one line of JSON for each file, in order: what `/predict` would answer, or
/// `{"error": problem}`, which also goes to standard error with the file's name.
///
/// Exit code 0 if every file has an answer, else 1.
#[must_use]
pub fn predict(args: &PredictArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    match predict_files(args, &mut out).and_then(|all| out.flush().map(|()| all).map_err(|e| e.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn predict_files(args: &PredictArgs, out: &mut impl Write) -> Result<bool, String> {
    let (manifest, mut engine) = model::single(&args.model).map_err(|e| e.to_string())?;
    let limits = Limits {
        max_pixels: args.max_pixels,
        ..Limits::default()
    };
    let mut all = true;
    for files in args.files.chunks(BATCH) {
        let read: Vec<_> = files.iter().map(|file| read_face(file, &limits)).collect();
        let faces: Vec<_> = read.iter().filter_map(|r| r.as_ref().ok()).cloned().collect();
        let mut answers = classify(&mut *engine, &faces)?.into_iter();
        for (file, face) in files.iter().zip(read) {
            let answer = face.and_then(|_| {
                answers
                    .next()
                    .ok_or_else(|| (Problem::internal("an answer is missing"), String::new()))
            });
            match answer {
                Ok(probabilities) => {
                    let answer = Scores::from(probabilities);
                    let model = ModelRef::from(&manifest);
                    line(out, &One { answer, model })?;
                }
                Err((problem, why)) => {
                    all = false;
                    complain(&format!("{}: {why}", file.display()));
                    line(
                        out,
                        &Failed {
                            error: problem.body(None),
                        },
                    )?;
                }
            }
        }
    }
    Ok(all)
}

/// The face, or the problem a server would answer and the reason a person at the terminal may see.
fn read_face(file: &Path, limits: &Limits) -> Result<Face, (Problem, String)> {
    let bytes = fs::read(file).map_err(|e| {
        (
            Problem::bad_request("the file cannot be read"),
            format!("cannot be read: {e}"),
        )
    })?;
    image::decode(&bytes, limits).map_err(|e| {
        let why = e
            .detail()
            .map_or_else(|| e.to_string(), |inside| format!("{e} ({inside})"));
        (Problem::from(&e), why)
    })
}

fn classify(engine: &mut dyn Classifier, faces: &[Face]) -> Result<Vec<Probabilities>, String> {
    let logits = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.classify(faces)))
        .map_err(|panic| panic_text(&*panic))?
        .map_err(|e| e.to_string())?;
    logits
        .iter()
        .map(Probabilities::from_logits)
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())
}

fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string(value).map_err(|e| e.to_string())?;
    writeln!(out, "{text}").map_err(|e| format!("cannot write the answer: {e}"))
}

fn complain(text: &str) {
    // If standard error is closed there is nobody to tell; the exit code still does.
    let _ = writeln!(io::stderr(), "fer-serve: {text}");
}

/// `fer-serve bench`: images per second of every engine that this machine and the folder allow.
#[must_use]
pub fn bench(args: &BenchArgs) -> ExitCode {
    let options = crate::bench::Options {
        batches: args.batches.iter().map(|n| n.get()).collect(),
        workers: args.workers.iter().map(|n| n.get()).collect(),
        repeats: args.repeats.get(),
        duration: Duration::from_millis(args.duration_ms.get() as u64),
    };
    let report = ModelFolder::open(&args.model).and_then(|folder| crate::bench::run(&folder, &options));
    let text = match report {
        Ok(report) if args.json => serde_json::to_string(&report).map_err(|e| e.to_string()),
        Ok(report) => Ok(report.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let printed = text.and_then(|text| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end()).map_err(|e| e.to_string())
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
