//! Which engine serves: candidates are checked against the TorchScript forward, timed, and the fastest that
//! agrees is taken.

mod check;

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::Device;

use super::{
    Calibration, Classifier, EngineError, EngineInfo, EngineRequest, FILE_SAFETENSORS, ModelFolder, Packed,
    PlainNetwork, Precision, PrecisionRequest, Tempered, TorchScript, drawn_faces, temper,
};
use crate::image::Face;
pub use check::tolerance;
use check::{disagreement, probabilities};

/// Accuracy that int8 may cost and still be chosen by itself, in percentage points.
pub const INT8_COST_LIMIT: f64 = 0.3;
/// Pictures on which a candidate must agree.
const PROBES: usize = 24;
/// Batch sizes that are timed: a lone request, and a busy server.
const BATCHES: [usize; 2] = [1, 8];
/// Time for each candidate and batch size.
const TIMING: Duration = Duration::from_millis(30);

/// What was found out about a candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// `torchscript` or `packed`.
    pub engine: &'static str,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// Instructions it computes with; `None` for TorchScript.
    pub instructions: Option<&'static str>,
    /// Largest difference of a probability from the TorchScript forward's on the probe pictures.
    pub largest_difference: f32,
    /// Images per second at batch 1 and 8; absent if it was not timed.
    pub images_per_second: Option<[f64; 2]>,
    /// Why it is out of the question, if it is.
    pub refused: Option<String>,
}

#[derive(Debug)]
enum Blueprint {
    TorchScript(Box<ModelFolder>, Device),
    Packed(Box<Packed>),
}

/// The engine that serves, as something that each worker builds its own from.
#[derive(Debug)]
pub struct Chosen {
    blueprint: Blueprint,
    temperature: f64,
    info: EngineInfo,
    trials: Vec<Trial>,
}

impl Chosen {
    /// A new engine that gives calibrated logits (the folder's temperature); call it on the thread that will run it. Packed weights are shared.
    ///
    /// # Errors
    /// As [`TorchScript::load`].
    pub fn engine(&self) -> Result<Box<dyn Classifier>, EngineError> {
        let engine: Box<dyn Classifier> = match &self.blueprint {
            Blueprint::TorchScript(folder, device) => Box::new(TorchScript::load(folder, *device)?),
            Blueprint::Packed(prototype) => Box::new(prototype.twin()),
        };
        Ok(Box::new(Tempered::new(engine, self.temperature)))
    }

    /// What was chosen.
    #[must_use]
    pub const fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// What was tried, in the order tried.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}

/// Builds, checks and times the candidates that the flags, the device, the processor and the folder allow, and
/// takes the fastest; logs each of them. A single candidate is checked but not timed.
///
/// On a reload the `incumbent`, which serves the model before, is taken again if it agrees, and nothing is timed: beside
/// requests the timing would be of the load, and a slower engine would stay until the next reload.
///
/// # Errors
/// [`EngineError`] if `model.pt` does not run, or what was asked for by name cannot be had or does not agree.
pub fn select(
    folder: &ModelFolder,
    device: Device,
    engine: EngineRequest,
    precision: PrecisionRequest,
    incumbent: Option<&EngineInfo>,
) -> Result<Chosen, EngineError> {
    let mut torchscript = TorchScript::load(folder, device)?;
    let probes = drawn_faces(PROBES);
    let temperature = folder.manifest().temperature();
    // What is compared is what will be served, so the temperature counts here too.
    let reference = probabilities(&temper(torchscript.classify(&probes)?, temperature))?;
    let mut trials = Vec::new();
    let mut candidates: Vec<Packed> = Vec::new();
    if engine != EngineRequest::TorchScript {
        match packed(folder, device, precision) {
            Ok(built) => candidates = built,
            Err(e) if engine == EngineRequest::Packed || !precision.allows(Precision::F32) => return Err(e),
            Err(e) => tracing::info!(reason = %e, "the packed engine does not run this model here"),
        }
    }
    let mut agreeing = Vec::new();
    for mut candidate in candidates {
        let refused = disagreement(&mut candidate, &probes, &reference, temperature);
        let (largest_difference, refused) = match refused {
            Ok(d) => (d, None),
            Err((d, reason)) => (d, Some(reason)),
        };
        if let Some(reason) = &refused {
            tracing::warn!(
                precision = candidate.precision().name(),
                reason,
                "packed engine refused"
            );
        }
        trials.push(Trial {
            engine: "packed",
            precision: candidate.precision().name(),
            instructions: Some(candidate.isa().name()),
            largest_difference,
            images_per_second: None,
            refused: refused.clone(),
        });
        match refused {
            None => agreeing.push((trials.len() - 1, candidate)),
            Some(reason) if engine == EngineRequest::Packed && precision != PrecisionRequest::Auto => {
                return Err(EngineError::Packed(reason));
            }
            Some(_) => {}
        }
    }
    let with_torchscript = engine != EngineRequest::Packed && precision.allows(Precision::F32);
    if !with_torchscript && agreeing.is_empty() {
        let wanted = format!("--engine {engine} --precision {precision}");
        let why = if engine == EngineRequest::TorchScript {
            "; the TorchScript engine computes in f32"
        } else {
            ""
        };
        return Err(EngineError::Packed(format!(
            "nothing here can serve {wanted}{why}"
        )));
    }
    let serves = |engine: &str, precision: &str| {
        incumbent.is_some_and(|i| (i.engine, i.precision) == (engine, precision))
    };
    // Some(None) is TorchScript.
    let kept = agreeing
        .iter()
        .position(|(_, c)| serves("packed", c.precision().name()))
        .map(Some)
        .or((with_torchscript && serves("torchscript", "f32")).then_some(None));
    let timed = kept.is_none() && agreeing.len() + usize::from(with_torchscript) > 1;
    let mut best: Option<(f64, Option<usize>)> = None;
    if timed {
        for (position, (trial, candidate)) in agreeing.iter_mut().enumerate() {
            let speed = time(candidate, &probes)?;
            trials[*trial].images_per_second = Some(speed);
            keep_best(&mut best, cost(&speed), Some(position));
        }
    }
    if with_torchscript {
        let speed = if timed {
            Some(time(&mut torchscript, &probes)?)
        } else {
            None
        };
        if let Some(speed) = &speed {
            keep_best(&mut best, cost(speed), None);
        }
        trials.push(Trial {
            engine: "torchscript",
            precision: "f32",
            instructions: None,
            largest_difference: 0.0,
            images_per_second: speed,
            refused: None,
        });
    }
    let winner = kept.unwrap_or_else(|| {
        best.map_or(if with_torchscript { None } else { Some(0) }, |(_, position)| {
            position
        })
    });
    let (blueprint, info) = match winner {
        Some(position) => {
            let candidate = agreeing.swap_remove(position).1;
            let info = candidate.info();
            (Blueprint::Packed(Box::new(candidate)), info)
        }
        None => (
            Blueprint::TorchScript(Box::new(folder.clone()), device),
            torchscript.info(),
        ),
    };
    for t in &trials {
        let speed = t.images_per_second.unwrap_or_default();
        tracing::debug!(
            engine = t.engine,
            precision = t.precision,
            instructions = t.instructions,
            largest_difference = t.largest_difference,
            images_per_second_batch_1 = speed[0],
            images_per_second_batch_8 = speed[1],
            refused = t.refused,
            "engine candidate"
        );
    }
    tracing::info!(
        engine = info.engine,
        precision = info.precision,
        device = info.device,
        "engine chosen"
    );
    Ok(Chosen {
        blueprint,
        temperature,
        info,
        trials,
    })
}

fn keep_best(best: &mut Option<(f64, Option<usize>)>, cost: f64, position: Option<usize>) {
    if best.is_none_or(|(least, _)| cost < least) {
        *best = Some((cost, position));
    }
}

/// Seconds for an image alone and one in a batch of eight: both count the same.
fn cost(images_per_second: &[f64; 2]) -> f64 {
    images_per_second.iter().map(|x| 1.0 / x).sum()
}

/// Every packed engine that the flag, the processor and the folder allow.
fn packed(
    folder: &ModelFolder,
    device: Device,
    request: PrecisionRequest,
) -> Result<Vec<Packed>, EngineError> {
    if device != Device::Cpu {
        return Err(EngineError::Packed(
            "runs on the CPU only; use --device cpu".to_owned(),
        ));
    }
    if !folder.manifest().files.contains_key(FILE_SAFETENSORS) {
        return Err(EngineError::Packed(format!(
            "the model folder has no {FILE_SAFETENSORS}"
        )));
    }
    let network = PlainNetwork::load(folder)?;
    let mut built = Vec::new();
    for precision in Precision::ALL.into_iter().filter(|p| request.allows(*p)) {
        let ranges = if precision == Precision::Int8 {
            match int8_ranges(folder, request) {
                Ok(ranges) => Some(ranges),
                Err(e) if request == PrecisionRequest::Int8 => return Err(e),
                Err(e) => {
                    tracing::info!(reason = %e, "int8 is not considered");
                    continue;
                }
            }
        } else {
            None
        };
        match Packed::new(&network, precision, ranges.as_ref()) {
            Ok(engine) => built.push(engine),
            Err(e) if request != PrecisionRequest::Auto => return Err(e),
            Err(e) => tracing::debug!(reason = %e, "not considered"),
        }
    }
    Ok(built)
}

/// The ranges of `model.int8.json`; when choosing freely, only if their cost is known and within the limit.
fn int8_ranges(
    folder: &ModelFolder,
    request: PrecisionRequest,
) -> Result<super::packed::Ranges, EngineError> {
    let unfit = |reason: String| EngineError::Packed(reason);
    let Some(calibration) = Calibration::load(folder)? else {
        return Err(unfit(
            "int8 needs model.int8.json, which `fer-train export` writes".to_owned(),
        ));
    };
    if request == PrecisionRequest::Auto {
        match calibration.cost.map(|c| c.points()) {
            None => return Err(unfit("what int8 costs in accuracy was not measured".to_owned())),
            Some(p) if p > INT8_COST_LIMIT => {
                return Err(unfit(format!(
                    "int8 costs {p:.2} points of accuracy; the limit is {INT8_COST_LIMIT}"
                )));
            }
            Some(_) => {}
        }
    }
    calibration.ranges().map_err(unfit)
}

/// Images per second at each of [`BATCHES`]: the median of what fits into [`TIMING`], after one run to warm up.
fn time(engine: &mut dyn Classifier, probes: &[Face]) -> Result<[f64; 2], EngineError> {
    let mut speeds = [0.0; 2];
    for (speed, batch) in speeds.iter_mut().zip(BATCHES) {
        let faces = &probes[..batch];
        engine.classify(faces)?;
        let mut seconds = Vec::new();
        let start = Instant::now();
        while seconds.len() < 3 || start.elapsed() < TIMING {
            let run = Instant::now();
            engine.classify(faces)?;
            seconds.push(run.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss)]
        let images = batch as f64;
        *speed = images / seconds[seconds.len() / 2];
    }
    Ok(speeds)
}

#[cfg(test)]
mod tests;
