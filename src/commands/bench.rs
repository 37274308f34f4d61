//! `fer-serve bench`: how many images per second each engine runs in this process.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use fer_engine::{
    Classifier, EngineError, FoldedNetwork, Isa, ModelFolder, Packed, Precision, QuantRanges, TorchScript,
    drawn_faces,
};
use fer_image::Face;
use serde::Serialize;
use tch::Device;

use super::exit_code;
use crate::config::BenchArgs;

/// Images per second of every engine that this machine and the folder allow, as a table or JSON.
pub(super) fn bench(args: &BenchArgs) -> ExitCode {
    let report = ModelFolder::open(&args.model).and_then(|folder| run(&folder, args));
    let text = report.map_err(|e| e.to_string()).and_then(|report| {
        if args.json {
            serde_json::to_string(&report).map_err(|e| e.to_string())
        } else {
            Ok(report.to_string())
        }
    });
    exit_code(text.and_then(|text| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end()).map_err(|e| e.to_string())
    }))
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    engine: &'static str,
    precision: &'static str,
    /// Of the packed engine.
    instructions: Option<&'static str>,
    workers: usize,
    /// Faces in a call.
    batch: usize,
    /// Of all workers together: median, slowest and fastest measurement.
    images_per_second: [f64; 3],
}

/// Prints as a table.
#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:<9} {:<12} {:>7} {:>5} {:>9}   (slowest–fastest)",
            "engine", "precision", "instructions", "workers", "batch", "images/s"
        )?;
        for r in &self.rows {
            let [median, low, high] = r.images_per_second;
            writeln!(
                f,
                "{:<12} {:<9} {:<12} {:>7} {:>5} {median:>9.0}   ({low:.0}–{high:.0})",
                r.engine,
                r.precision,
                r.instructions.unwrap_or("libtorch"),
                r.workers,
                r.batch
            )?;
        }
        Ok(())
    }
}

/// Builds an engine on the thread that runs it.
enum Kind<'a> {
    TorchScript(&'a ModelFolder),
    Packed(Box<Packed>),
}

impl Kind<'_> {
    fn build(&self) -> Result<Box<dyn Classifier>, EngineError> {
        Ok(match self {
            Self::TorchScript(folder) => Box::new(TorchScript::load(folder, Device::Cpu)?),
            Self::Packed(prototype) => Box::new(prototype.twin()),
        })
    }
}

/// Measures on drawn faces. libtorch uses one thread for each worker for the rest of the process.
fn run(folder: &ModelFolder, args: &BenchArgs) -> Result<Report, EngineError> {
    tch::set_num_threads(1);
    let mut kinds = vec![Kind::TorchScript(folder)];
    match FoldedNetwork::load(folder) {
        Ok(network) => {
            let ranges = QuantRanges::load(folder)?.and_then(|c| c.ranges().ok());
            for precision in Precision::ALL {
                if Isa::best(precision).is_none() || (precision == Precision::Int8 && ranges.is_none()) {
                    continue;
                }
                let packed = Packed::new(&network, precision, ranges.as_ref())?;
                kinds.push(Kind::Packed(Box::new(packed)));
            }
        }
        Err(e) => tracing::warn!(reason = %e, "the packed engine does not run this model"),
    }
    let mut rows = Vec::new();
    for kind in &kinds {
        for workers in args.workers.iter().map(|n| n.get()) {
            for batch in args.batches.iter().map(|n| n.get()) {
                let (engine, precision, instructions) = match kind {
                    Kind::TorchScript(_) => ("torchscript", "f32", None),
                    Kind::Packed(p) => ("packed", p.precision().name(), Some(p.isa().name())),
                };
                let images_per_second = median_and_range(kind, workers, batch, args)?;
                rows.push(Row {
                    engine,
                    precision,
                    instructions,
                    workers,
                    batch,
                    images_per_second,
                });
            }
        }
    }
    Ok(Report { rows })
}

/// Median, lowest and highest of the repeats.
fn median_and_range(
    kind: &Kind<'_>,
    workers: usize,
    batch: usize,
    args: &BenchArgs,
) -> Result<[f64; 3], EngineError> {
    let faces = drawn_faces(batch);
    let duration = Duration::from_millis(args.duration_ms.get() as u64);
    let measured = (0..args.repeats.get()).map(|_| measure(kind, workers, &faces, duration));
    let mut speeds = measured.collect::<Result<Vec<_>, _>>()?;
    speeds.sort_by(f64::total_cmp);
    Ok([speeds[speeds.len() / 2], speeds[0], speeds[speeds.len() - 1]])
}

/// Images per second of all workers together, which start at the same time.
fn measure(kind: &Kind<'_>, workers: usize, faces: &[Face], duration: Duration) -> Result<f64, EngineError> {
    let start = Barrier::new(workers);
    let work = || -> Result<f64, EngineError> {
        let ready = kind.build().and_then(|mut engine| {
            engine.classify(faces)?;
            Ok(engine)
        });
        // Reached on an error as well, or the others would wait for ever.
        start.wait();
        let mut engine = ready?;
        let begin = Instant::now();
        let mut images = 0u32;
        while begin.elapsed() < duration {
            engine.classify(faces)?;
            images += u32::try_from(faces.len()).unwrap_or(u32::MAX);
        }
        Ok(f64::from(images) / begin.elapsed().as_secs_f64())
    };
    thread::scope(|s| {
        let handles: Vec<_> = (0..workers).map(|_| s.spawn(work)).collect();
        let mut total = 0.0;
        for handle in handles {
            total += handle
                .join()
                .map_err(|_| EngineError::Packed("a worker panicked".to_owned()))??;
        }
        Ok(total)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_row() {
        let row = Row {
            engine: "packed",
            precision: "bf16",
            instructions: Some("amx"),
            workers: 2,
            batch: 8,
            images_per_second: [1234.4, 1200.0, 1300.0],
        };
        let report = Report {
            rows: vec![
                row.clone(),
                Row {
                    instructions: None,
                    ..row
                },
            ],
        };
        let text = report.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["packed", "bf16", "amx", "2", "8", "1234", "(1200–1300)"]
        );
        assert!(lines[2].contains("libtorch"));
        assert_eq!(serde_json::to_value(&report).unwrap()["rows"][0]["batch"], 8);
    }
}
