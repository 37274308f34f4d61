//! The ensemble that a network is distilled from: its probabilities for a batch of views.

use std::path::{Path, PathBuf};

use tch::{Device, Tensor};

use crate::error::TrainError;
use fer_engine::{
    Classifier, FILE_SAFETENSORS, FoldedNetwork, InputSpec, Isa, ModelFolder, Packed, Precision, QuantRanges,
    TorchScript,
    emotion::{CLASSES, Probabilities},
    folder::Provenance,
    select::INT8_COST_LIMIT,
};
use fer_image::{Face, PIXELS};

#[derive(Debug, Default)]
pub(crate) struct Teachers {
    /// For each thread all teachers; empty on a GPU.
    packed: Vec<Vec<Packed>>,
    /// On a GPU.
    scripts: Vec<TorchScript>,
    /// Names and hashes, for the checkpoint.
    pub(crate) origins: Vec<Provenance>,
}

/// The folder in which teacher `which` (from 0) of a run in `out` is trained.
pub(crate) fn folder(out: &Path, which: u32) -> PathBuf {
    out.join(format!("teacher-{}", which + 1))
}

impl Teachers {
    /// Loads model folders. On a CPU they run in the packed engine, in int8 where the processor has it and it costs no more
    /// accuracy than the server allows. Their temperatures are not applied, because those were fitted on validation rows.
    pub(crate) fn load(folders: &[PathBuf], device: Device, threads: usize) -> Result<Self, TrainError> {
        let mut teachers = Self::default();
        if device == Device::Cpu {
            teachers.packed = (0..threads.max(1)).map(|_| Vec::new()).collect();
        }
        for path in folders {
            let folder = ModelFolder::open(path)?;
            teachers
                .origins
                .push(Provenance::of(&folder.file(FILE_SAFETENSORS))?);
            if device == Device::Cpu {
                let engine = packed(&folder)?;
                for thread in &mut teachers.packed {
                    thread.push(engine.twin());
                }
            } else {
                teachers.scripts.push(TorchScript::load(&folder, device)?);
            }
        }
        Ok(teachers)
    }

    /// Mean of the teachers' probabilities, `[N,7]` float on the CPU, for scaled pixels (2,304 a face).
    pub(crate) fn targets(&mut self, pixels: &[f32], input: &InputSpec) -> Result<Tensor, TrainError> {
        let faces = to_faces(pixels, input);
        let mut sums = vec![0f32; faces.len() * CLASSES];
        if self.packed.is_empty() {
            for teacher in &mut self.scripts {
                add(teacher, &faces, &mut sums)?;
            }
        } else {
            self.add_packed(&faces, &mut sums)?;
        }
        #[allow(clippy::cast_precision_loss)]
        let teachers = self.origins.len().max(1) as f32;
        sums.iter_mut().for_each(|sum| *sum /= teachers);
        Ok(Tensor::f_from_slice(&sums)?.f_view([-1, CLASSES as i64])?)
    }

    /// Adds the probabilities of all teachers to the sums, seven a face.
    fn add_packed(&mut self, faces: &[Face], sums: &mut [f32]) -> Result<(), TrainError> {
        // The faces are divided among the threads, not the teachers: every thread then has the same amount of work, and a
        // face's sum is always added up in the order of the teachers, which repeating a run bit for bit needs.
        let each = faces.len().div_ceil(self.packed.len()).max(1);
        std::thread::scope(|scope| {
            let parts = faces.chunks(each).zip(sums.chunks_mut(each * CLASSES));
            let threads: Vec<_> = self
                .packed
                .iter_mut()
                .zip(parts)
                .map(|(teachers, (faces, sums))| {
                    scope.spawn(move || teachers.iter_mut().try_for_each(|t| add(t, faces, sums)))
                })
                .collect();
            threads.into_iter().try_for_each(|t| {
                t.join()
                    .unwrap_or_else(|_| Err(TrainError::Usage("a teacher's thread panicked".to_owned())))
            })
        })
    }
}

fn packed(folder: &ModelFolder) -> Result<Packed, TrainError> {
    let network = FoldedNetwork::load(folder)?;
    if Isa::best(Precision::Int8).is_some()
        && let Some(calibration) = QuantRanges::load(folder)?
        && calibration.cost.is_some_and(|c| c.points() <= INT8_COST_LIMIT)
    {
        let ranges = calibration.ranges().map_err(TrainError::Usage)?;
        return Ok(Packed::new(&network, Precision::Int8, Some(&ranges))?);
    }
    let precision = if Isa::best(Precision::Bf16).is_some() {
        Precision::Bf16
    } else {
        Precision::F32
    };
    Ok(Packed::new(&network, precision, None)?)
}

fn add(teacher: &mut dyn Classifier, faces: &[Face], sums: &mut [f32]) -> Result<(), TrainError> {
    for (logits, sums) in teacher
        .classify(faces)?
        .iter()
        .zip(sums.chunks_exact_mut(CLASSES))
    {
        let probabilities =
            Probabilities::from_logits(logits).map_err(|e| TrainError::Usage(format!("a teacher: {e}")))?;
        for (sum, p) in sums.iter_mut().zip(probabilities.values()) {
            *sum += p;
        }
    }
    Ok(())
}

/// Scaled pixels as rounded gray values: teachers see views as they would see an upload.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn to_faces(pixels: &[f32], input: &InputSpec) -> Vec<Face> {
    let (factor, offset) = input.affine();
    let (factor, offset) = (factor as f32, offset as f32);
    pixels
        .chunks_exact(PIXELS)
        .map(|view| {
            let mut face = Face([0; PIXELS]);
            for (gray, value) in face.0.iter_mut().zip(view) {
                *gray = ((value - offset) / factor).round().clamp(0.0, 255.0) as u8;
            }
            face
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{augment, export::export, network::Network, recipe::Recipe};
    use fer_engine::{Manifest, drawn_faces};

    /// A model folder with random weights.
    fn random_folder(path: &Path, seed: i64) -> ModelFolder {
        tch::manual_seed(seed);
        let network = Network::new(Device::Cpu).unwrap();
        let mut manifest = Manifest::new("m", "1", Recipe::default().input);
        export(&network, &mut manifest, path).unwrap();
        ModelFolder::open(path).unwrap()
    }

    #[test]
    fn a_target_is_the_mean_of_the_teachers_probabilities_of_the_view() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..2).map(|which| folder(dir.path(), which)).collect();
        let scripts = paths.iter().zip([3, 4]).map(|(path, seed)| {
            let folder = random_folder(path, seed);
            TorchScript::load(&folder, Device::Cpu).unwrap()
        });
        let faces = drawn_faces(5);
        let mut wanted = vec![0f32; faces.len() * CLASSES];
        scripts.for_each(|mut script| add(&mut script, &faces, &mut wanted).unwrap());

        let input = Recipe::default().input;
        let mut pixels = vec![0f32; faces.len() * PIXELS];
        for (face, out) in faces.iter().zip(pixels.chunks_exact_mut(PIXELS)) {
            augment::plain(&face.0, &input, out);
        }
        assert_eq!(to_faces(&pixels, &input), faces);
        // Rounded on the way, as a view's values are; on three threads, of which the last has one face.
        pixels.iter_mut().for_each(|x| *x += 0.001);
        let mut teachers = Teachers::load(&paths, Device::Cpu, 3).unwrap();
        assert_eq!(teachers.origins.len(), 2);
        let targets = teachers.targets(&pixels, &input).unwrap();
        assert_eq!(targets.size(), [5, CLASSES as i64]);
        let targets = Vec::<f32>::try_from(targets.flatten(0, -1)).unwrap();
        for (seen, sum) in targets.iter().zip(wanted) {
            // bf16, where the processor has it.
            assert!((seen - sum / 2.0).abs() < 0.02, "{seen} {}", sum / 2.0);
        }
    }
}
