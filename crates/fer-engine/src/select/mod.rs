//! Which engine serves: candidates are checked against the TorchScript forward and timed; the fastest that
//! agrees serves.

mod candidates;
mod check;

use std::time::{Duration, Instant};

use tch::Device;

use super::{
    Classifier, EngineError, EngineInfo, EngineRequest, ModelFolder, Packed, Precision, PrecisionRequest,
    TorchScript, apply_temperature, drawn_faces,
};
use crate::{emotion::Probabilities, temperature::WithTemperature};
pub use candidates::INT8_COST_LIMIT;
use candidates::{offers_int8, packed};
#[cfg(test)]
pub(crate) use check::tolerance;
use check::{disagreement, probabilities};
use fer_image::Face;

/// Faces on which a candidate must agree.
const PROBES: usize = 24;
/// Batch sizes that are timed: a single request, and a busy server.
const BATCHES: [usize; 2] = [1, 8];
/// Time for each candidate and batch size.
const TIMING: Duration = Duration::from_millis(30);

/// The result of checking and timing a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// `torchscript` or `packed`.
    pub engine: &'static str,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// Instructions it computes with; `None` for TorchScript.
    pub instructions: Option<&'static str>,
    /// Largest difference of a probability from the TorchScript forward's on the probe faces.
    pub largest_difference: f32,
    /// Images per second at batch sizes 1 and 8; absent if it was not timed, at 8 also if it lost at 1.
    pub images_per_second: [Option<f64>; 2],
    /// Why it cannot serve, if so.
    pub refused: Option<String>,
}

#[derive(Debug)]
enum Blueprint {
    TorchScript(Box<ModelFolder>, Device),
    Packed(Box<Packed>),
}

/// The engine that serves while a model is reloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incumbent {
    /// Its engine.
    pub info: EngineInfo,
    /// Whether its folder offered int8.
    pub int8: bool,
}

/// The engine to serve with: each worker builds its own from it.
#[derive(Debug)]
pub struct Chosen {
    blueprint: Blueprint,
    temperature: f64,
    serves: Incumbent,
    trials: Vec<Trial>,
}

impl Chosen {
    /// A new engine that gives calibrated logits (the folder's temperature); call it on the thread that will run it.
    /// Packed weights are shared.
    ///
    /// # Errors
    /// As [`TorchScript::load`].
    pub fn engine(&self) -> Result<Box<dyn Classifier>, EngineError> {
        let inner: Box<dyn Classifier> = match &self.blueprint {
            Blueprint::TorchScript(folder, device) => Box::new(TorchScript::load(folder, *device)?),
            Blueprint::Packed(prototype) => Box::new(prototype.twin()),
        };
        let temperature = self.temperature;
        Ok(Box::new(WithTemperature { inner, temperature }))
    }

    /// The chosen engine.
    #[must_use]
    pub const fn info(&self) -> &EngineInfo {
        &self.serves.info
    }

    /// The incumbent of the next [`select`].
    #[must_use]
    pub const fn serves(&self) -> &Incumbent {
        &self.serves
    }

    /// The candidates in the order in which they were tried.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}

/// The reference for candidates: the TorchScript forward of the probe faces.
struct Reference<'a> {
    folder: &'a ModelFolder,
    device: Device,
    torchscript: TorchScript,
    probes: Vec<Face>,
    probabilities: Vec<Probabilities>,
    /// Whether the folder offers int8.
    int8: bool,
}

impl<'a> Reference<'a> {
    fn new(
        folder: &'a ModelFolder,
        device: Device,
        precision: PrecisionRequest,
    ) -> Result<Self, EngineError> {
        let mut torchscript = TorchScript::load(folder, device)?;
        let probes = drawn_faces(PROBES);
        let temperature = folder.manifest().temperature();
        // The probabilities compared are those that will be served, so the temperature is applied here too.
        let probabilities = probabilities(&apply_temperature(torchscript.classify(&probes)?, temperature))?;
        Ok(Self {
            folder,
            device,
            torchscript,
            probes,
            probabilities,
            int8: offers_int8(folder, device, precision),
        })
    }

    /// Whether a candidate answers as the reference does.
    ///
    /// # Errors
    /// [`EngineError::Packed`] if it does not and was asked for `by_name`.
    fn check(&self, candidate: &mut Packed, by_name: bool) -> Result<Trial, EngineError> {
        let temperature = self.folder.manifest().temperature();
        let (largest_difference, refused) =
            match disagreement(candidate, &self.probes, &self.probabilities, temperature) {
                Ok(d) => (d, None),
                Err((d, reason)) => (d, Some(reason)),
            };
        if let Some(reason) = &refused {
            let precision = candidate.precision().name();
            tracing::warn!(precision, reason, "packed engine refused");
            if by_name {
                return Err(EngineError::Packed(reason.clone()));
            }
        }
        Ok(Trial {
            engine: "packed",
            precision: candidate.precision().name(),
            instructions: Some(candidate.isa().name()),
            largest_difference,
            images_per_second: [None; 2],
            refused,
        })
    }

    /// The choice of TorchScript itself (`None`) or a candidate.
    fn choose(self, packed: Option<Packed>, trials: Vec<Trial>) -> Chosen {
        let (blueprint, info) = match packed {
            Some(candidate) => {
                let info = candidate.info();
                (Blueprint::Packed(Box::new(candidate)), info)
            }
            None => (
                Blueprint::TorchScript(Box::new(self.folder.clone()), self.device),
                self.torchscript.info(),
            ),
        };
        for t in &trials {
            tracing::debug!(
                engine = t.engine,
                precision = t.precision,
                instructions = t.instructions,
                largest_difference = t.largest_difference,
                images_per_second_batch_1 = t.images_per_second[0],
                images_per_second_batch_8 = t.images_per_second[1],
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
        Chosen {
            blueprint,
            temperature: self.folder.manifest().temperature(),
            serves: Incumbent {
                info,
                int8: self.int8,
            },
            trials,
        }
    }
}

/// Builds, checks and times the candidates that the flags, the device, the processor and the folder allow, and
/// chooses the fastest; logs each of them. A single candidate is checked but not timed.
///
/// On a reload, the engine that serves (`incumbent`) is kept if it agrees with the new model, and no other is built or
/// timed: while requests are served, the timing would measure the load, might choose a slower engine until the next
/// reload, and would take time from the requests. Only a packed engine is kept, and only if the new folder offers no
/// more than the old one: a fallback engine is re-evaluated once the missing file is present.
///
/// # Errors
/// [`EngineError`] if `model.pt` does not run, or the engine asked for by name is not available or does not agree.
pub fn select(
    folder: &ModelFolder,
    device: Device,
    engine: EngineRequest,
    precision: PrecisionRequest,
    incumbent: Option<&Incumbent>,
) -> Result<Chosen, EngineError> {
    let mut reference = Reference::new(folder, device, precision)?;
    let with_torchscript = engine != EngineRequest::Packed && precision.allows(Precision::F32);
    let by_name = engine == EngineRequest::Packed && precision != PrecisionRequest::Auto;
    let mut trials = Vec::new();
    let mut disagrees = None;
    if engine != EngineRequest::TorchScript
        && let Some(incumbent) = incumbent.filter(|i| i.int8 || !reference.int8)
        && let Some(serves) = incumbent.info.packed()
        && let Ok(mut built) = packed(folder, device, precision, |p| p == serves)
        && let Some(mut candidate) = built.pop()
    {
        let trial = reference.check(&mut candidate, by_name)?;
        if trial.refused.is_none() {
            return Ok(reference.choose(Some(candidate), vec![trial]));
        }
        trials.push(trial);
        disagrees = Some(serves);
    }

    let mut candidates: Vec<Packed> = Vec::new();
    if engine != EngineRequest::TorchScript {
        match packed(folder, device, precision, |p| disagrees != Some(p)) {
            Ok(built) => candidates = built,
            Err(e) if engine == EngineRequest::Packed || !precision.allows(Precision::F32) => return Err(e),
            Err(e) => tracing::info!(reason = %e, "the packed engine does not run this model here"),
        }
    }
    let mut agreeing = Vec::new();
    for mut candidate in candidates {
        let trial = reference.check(&mut candidate, by_name)?;
        if trial.refused.is_none() {
            agreeing.push((trials.len(), candidate));
        }
        trials.push(trial);
    }
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
    let timed = agreeing.len() + usize::from(with_torchscript) > 1;
    // Lowest cost so far and its packed candidate; `None` is TorchScript.
    let mut best = (f64::INFINITY, (!with_torchscript).then_some(0));
    if timed {
        // In reverse, the usually fastest first: an engine that loses at batch size 1 is not timed at size 8.
        for (position, (trial, candidate)) in agreeing.iter_mut().enumerate().rev() {
            let speed = time(candidate, &reference.probes, best.0)?;
            trials[*trial].images_per_second = speed;
            if cost(&speed) < best.0 {
                best = (cost(&speed), Some(position));
            }
        }
    }
    if with_torchscript {
        let speed = if timed {
            time(&mut reference.torchscript, &reference.probes, best.0)?
        } else {
            [None; 2]
        };
        if cost(&speed) < best.0 {
            best = (cost(&speed), None);
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
    let winner = best.1.map(|position| agreeing.swap_remove(position).1);
    Ok(reference.choose(winner, trials))
}

/// Seconds for an image alone plus one in a batch of eight: both count the same. Infinite if not timed.
fn cost(images_per_second: &[Option<f64>; 2]) -> f64 {
    images_per_second
        .iter()
        .map(|x| x.map_or(f64::INFINITY, |x| 1.0 / x))
        .sum()
}

/// Images per second at each of [`BATCHES`]: the median of the runs that fit into [`TIMING`], after one warm-up run. Ends
/// early if batch 1 alone takes longer than `best`, the [`cost`] of another candidate, in both of the first two runs: it
/// has lost.
fn time(engine: &mut dyn Classifier, probes: &[Face], best: f64) -> Result<[Option<f64>; 2], EngineError> {
    let mut speeds = [None; 2];
    let mut run = |batch: usize| -> Result<f64, EngineError> {
        let start = Instant::now();
        engine.classify(&probes[..batch])?;
        Ok(start.elapsed().as_secs_f64())
    };
    for (speed, batch) in speeds.iter_mut().zip(BATCHES) {
        let first = run(batch)?;
        let start = Instant::now();
        let mut seconds = vec![run(batch)?];
        let images = batch as f64;
        let lost = batch == 1 && first.min(seconds[0]) > best;
        while !lost && (seconds.len() < 3 || start.elapsed() < TIMING) {
            seconds.push(run(batch)?);
        }
        seconds.sort_by(f64::total_cmp);
        *speed = Some(images / seconds[seconds.len() / 2]);
        if lost {
            break;
        }
    }
    Ok(speeds)
}

#[cfg(test)]
mod tests;
