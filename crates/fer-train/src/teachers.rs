//! The ensemble that a network learns from: what it says of a batch of views.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use tch::{Device, Tensor};

use super::{TrainError, origin::StartedFrom};
use fer_engine::{
    QuantRanges, Classifier, FILE_SAFETENSORS, FoldedNetwork, InputSpec, Isa, ModelFolder, Packed, Precision,
    TorchScript,
    emotion::{CLASSES, Probabilities},
    select::INT8_COST_LIMIT,
};
use fer_image::{Face, PIXELS, SIDE};

/// Trained networks, ready to be asked.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Of each thread all teachers; empty on a GPU.
    packed: Vec<Vec<Packed>>,
    /// On a GPU.
    scripts: Vec<TorchScript>,
    origins: Vec<StartedFrom>,
    /// How they are asked.
    asked: Asked,
}

/// How teachers are asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// About mirror images, too.
    pub mirror: bool,
    /// So many, the last, not about coarse views, if there are others.
    pub fine_only: usize,
}

/// Where teacher `which` (from 0) of a run in `out` is trained.
#[must_use]
pub fn folder(out: &Path, which: u32) -> PathBuf {
    out.join(format!("teacher-{}", which + 1))
}

impl Teachers {
    /// Loads model folders. On a CPU they run in the packed engine, in int8 where the processor has it and it costs no more
    /// than the server allows; their probabilities are not tempered, so nothing of the validation rows is in them.
    ///
    /// # Errors
    /// What the engines say.
    pub fn load(
        folders: &[PathBuf],
        device: Device,
        threads: usize,
        asked: Asked,
    ) -> Result<Self, TrainError> {
        let mut teachers = Self {
            asked,
            ..Self::default()
        };
        if device == Device::Cpu {
            teachers.packed = (0..threads.max(1)).map(|_| Vec::new()).collect();
        }
        for path in folders {
            let folder = ModelFolder::open(path)?;
            teachers
                .origins
                .push(StartedFrom::of(&folder.file(FILE_SAFETENSORS))?);
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

    /// Names and hashes, for the checkpoint.
    #[must_use]
    pub fn origins(&self) -> &[StartedFrom] {
        &self.origins
    }

    /// Mean of the teachers' probabilities, `[N,7]` float on the CPU, for scaled pixels (2,304 a face); they see them rounded
    /// to gray values, as when they serve. `coarse` says of each face whether it is of low resolution: see [`Asked`].
    ///
    /// # Errors
    /// What the engines say, or logits that are not finite.
    pub fn targets(
        &mut self,
        pixels: &[f32],
        coarse: &[bool],
        input: &InputSpec,
    ) -> Result<Tensor, TrainError> {
        let faces = to_faces(pixels, input);
        let all = self.origins.len();
        let for_coarse = match all.saturating_sub(self.asked.fine_only) {
            0 => all,
            some => some,
        };
        let mut sums = vec![0f32; faces.len() * CLASSES];
        self.ask(0..for_coarse, &faces, &mut sums)?;
        if for_coarse < all {
            let fine: Vec<usize> = (0..faces.len()).filter(|i| !coarse[*i]).collect();
            let some: Vec<Face> = fine.iter().map(|i| faces[*i].clone()).collect();
            let mut more = vec![0f32; some.len() * CLASSES];
            self.ask(for_coarse..all, &some, &mut more)?;
            for (i, more) in fine.into_iter().zip(more.chunks_exact(CLASSES)) {
                for (sum, p) in sums[i * CLASSES..].iter_mut().zip(more) {
                    *sum += p;
                }
            }
        }
        let sides = if self.asked.mirror { 2 } else { 1 };
        for (sums, coarse) in sums.chunks_exact_mut(CLASSES).zip(coarse) {
            let teachers = if *coarse { for_coarse } else { all };
            #[allow(clippy::cast_precision_loss)]
            let answers = (teachers.max(1) * sides) as f32;
            sums.iter_mut().for_each(|sum| *sum /= answers);
        }
        Ok(Tensor::f_from_slice(&sums)?.f_view([-1, CLASSES as i64])?)
    }

    /// Adds to the sums, seven a face, what those teachers say of the faces and, if so asked, of their mirror images.
    fn ask(&mut self, which: Range<usize>, faces: &[Face], sums: &mut [f32]) -> Result<(), TrainError> {
        self.ask_once(which.clone(), faces, sums)?;
        if self.asked.mirror {
            let mirrored: Vec<Face> = faces.iter().map(mirrored).collect();
            self.ask_once(which, &mirrored, sums)?;
        }
        Ok(())
    }

    fn ask_once(&mut self, which: Range<usize>, faces: &[Face], sums: &mut [f32]) -> Result<(), TrainError> {
        if self.packed.is_empty() {
            return self.scripts[which]
                .iter_mut()
                .try_for_each(|t| add(t, faces, sums));
        }
        let each = faces.len().div_ceil(self.packed.len()).max(1);
        std::thread::scope(|scope| {
            self.packed
                .iter_mut()
                .zip(faces.chunks(each).zip(sums.chunks_mut(each * CLASSES)))
                .map(|(thread, (faces, sums))| {
                    let teachers = &mut thread[which.clone()];
                    scope.spawn(move || teachers.iter_mut().try_for_each(|t| add(t, faces, sums)))
                })
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|t| {
                    t.join()
                        .unwrap_or_else(|_| Err(TrainError::Usage("a teacher's thread panicked".to_owned())))
                })
        })
    }
}

/// One teacher on the CPU.
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

/// Adds what one teacher says.
fn add(teacher: &mut dyn Classifier, faces: &[Face], sums: &mut [f32]) -> Result<(), TrainError> {
    for (logits, sums) in teacher
        .classify(faces)?
        .iter()
        .zip(sums.chunks_exact_mut(CLASSES))
    {
        let said =
            Probabilities::from_logits(logits).map_err(|e| TrainError::Usage(format!("a teacher: {e}")))?;
        for (sum, p) in sums.iter_mut().zip(said.values()) {
            *sum += p;
        }
    }
    Ok(())
}

/// The face seen in a mirror.
fn mirrored(face: &Face) -> Face {
    let mut seen = face.clone();
    seen.0.chunks_exact_mut(SIDE).for_each(<[u8]>::reverse);
    seen
}

/// Scaled pixels as gray values, rounded.
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
    use crate::{augment, random_folder, recipe::Recipe};
    use fer_engine::drawn_faces;

    #[test]
    fn a_target_is_the_mean_of_what_the_teachers_say_of_the_view() {
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
        let mut teachers = Teachers::load(&paths, Device::Cpu, 3, Asked::default()).unwrap();
        assert_eq!(teachers.origins().len(), 2);
        let targets = teachers.targets(&pixels, &[false; 5], &input).unwrap();
        assert_eq!(targets.size(), [5, CLASSES as i64]);
        let targets = Vec::<f32>::try_from(targets.flatten(0, -1)).unwrap();
        for (seen, sum) in targets.iter().zip(wanted) {
            // bf16, where the processor has it.
            assert!((seen - sum / 2.0).abs() < 0.02, "{seen} {}", sum / 2.0);
        }

        // Asked about the mirror image, too, they say the same of a view and of its mirror image.
        let asked = Asked {
            mirror: true,
            fine_only: 0,
        };
        let mut both = Teachers::load(&paths, Device::Cpu, 3, asked).unwrap();
        let mut swapped = pixels.clone();
        swapped.chunks_exact_mut(SIDE).for_each(<[f32]>::reverse);
        let of = |teachers: &mut Teachers, pixels: &[f32]| {
            let targets = teachers.targets(pixels, &[false; 5], &input).unwrap();
            Vec::<f32>::try_from(targets.flatten(0, -1)).unwrap()
        };
        let (one, other) = (of(&mut teachers, &pixels), of(&mut teachers, &swapped));
        for seen in [of(&mut both, &pixels), of(&mut both, &swapped)] {
            for ((seen, a), b) in seen.iter().zip(&one).zip(&other) {
                let mean = (a + b) / 2.0;
                assert!((seen - mean).abs() < 1e-3, "{seen} {mean}");
            }
        }
        assert!(one.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-3));

        // Of coarse views the first alone is asked; all of both, where the first is one of those that know none.
        let mut alone = Teachers::load(&paths[..1], Device::Cpu, 1, Asked::default()).unwrap();
        let first = of(&mut alone, &pixels);
        for (fine_only, coarse_by) in [(1, &first), (2, &one)] {
            let asked = Asked {
                mirror: false,
                fine_only,
            };
            let mut teachers = Teachers::load(&paths, Device::Cpu, 3, asked).unwrap();
            let coarse = [true, false, false, true, true];
            let targets = teachers.targets(&pixels, &coarse, &input).unwrap();
            let targets = Vec::<f32>::try_from(targets.flatten(0, -1)).unwrap();
            for (face, coarse) in coarse.into_iter().enumerate() {
                let at = face * CLASSES..(face + 1) * CLASSES;
                let wanted = if coarse { coarse_by } else { &one };
                for (seen, wanted) in targets[at.clone()].iter().zip(&wanted[at]) {
                    assert!((seen - wanted).abs() < 1e-3, "{face}: {seen} {wanted}");
                }
            }
        }
        assert!(one.iter().zip(&first).any(|(a, b)| (a - b).abs() > 1e-2));
    }
}
