//! `model.int8.json`: ranges of the activations from training faces, and what int8 costs on other ones.

use std::{collections::HashSet, path::Path};

use crate::{
    TrainError,
    data::Dataset,
    output::say,
    score::{LabelledLogits, logits},
};
use fer_engine::{
    FoldedNetwork, Isa, Logits, ModelFolder, Packed, Precision, QuantRanges, calibrate,
    emotion::CLASSES,
    folder::write_json,
    packed::{Cost, FILE_QUANT_RANGES},
    select::INT8_COST_LIMIT,
};
use fer_image::{Face, PIXELS};

/// Training faces that are calibrated on; docs/performance.md has what fewer do.
const FACES: usize = 2048;

/// Calibrates the folder's weights on training rows and writes `model.int8.json`. `measured` are labelled rows
/// with the float network's logits: int8's cost is measured on them, and no face of theirs is calibrated on.
pub(super) fn write(
    folder: &ModelFolder,
    train: &Dataset,
    measured: Option<(&Dataset, &LabelledLogits)>,
    out: &Path,
) -> Result<(), TrainError> {
    let faces = chosen_faces(train, measured.map(|m| m.0))?;
    let network = FoldedNetwork::load(folder)?;
    let weights = folder
        .manifest()
        .files
        .get(fer_engine::FILE_SAFETENSORS)
        .map_or("", |f| f.sha256.as_str());
    let mut ranges = calibrate(&network, weights, &faces)?;
    if let Some((data, float)) = measured {
        ranges.cost = cost(&network, &ranges, data, float)?;
    }
    write_json(&ranges, &out.join(FILE_QUANT_RANGES))?;
    say(&summary(&ranges));
    Ok(())
}

/// Removes a `model.int8.json` that was made for other weights than the folder's.
pub(super) fn remove_foreign(folder: &ModelFolder, out: &Path) -> Result<(), TrainError> {
    if !matches!(QuantRanges::load(folder), Ok(Some(_))) {
        let path = out.join(FILE_QUANT_RANGES);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(TrainError::file(&path)(e)),
            _ => {}
        }
        say(
            "*** no model.int8.json was written, so int8 cannot serve this model: --int8-data names the training rows it needs",
        );
    }
    Ok(())
}

/// Whether there are training faces to calibrate on, so that their lack is found out before the work.
pub(crate) fn check(train: &Dataset, measured: &Dataset) -> Result<(), TrainError> {
    chosen_faces(train, Some(measured)).map(drop)
}

/// Up to [`FACES`] training faces, spread evenly over the rows; none that is also in `measured`.
fn chosen_faces(train: &Dataset, measured: Option<&Dataset>) -> Result<Vec<Face>, TrainError> {
    let held: HashSet<&[u8; PIXELS]> = measured.into_iter().flat_map(|d| &d.faces).collect();
    let all = &train.faces;
    let step = all.len().div_ceil(FACES).max(1);
    let faces: Vec<Face> = all
        .iter()
        .step_by(step)
        .filter(|f| !held.contains(f))
        .map(|f| Face(*f))
        .collect();
    if faces.is_empty() {
        return Err(TrainError::Usage(
            "int8 is calibrated on training rows, but every one of them is also among the rows to score on"
                .to_owned(),
        ));
    }
    Ok(faces)
}

/// Accuracy in int8 and in float; `None`, with a message, where the processor has no int8 instructions.
fn cost(
    network: &FoldedNetwork,
    ranges: &QuantRanges,
    data: &Dataset,
    float: &LabelledLogits,
) -> Result<Option<Cost>, TrainError> {
    if data.len() == 0 {
        return Ok(None);
    }
    if Isa::best(Precision::Int8).is_none() {
        say(
            "*** what int8 costs was not measured: this processor has no int8 instructions (AVX-512 VNNI or AMX)",
        );
        return Ok(None);
    }
    let ranges = ranges.ranges().map_err(TrainError::Usage)?;
    let mut engine = Packed::new(network, Precision::Int8, Some(&ranges))?;
    let int8 = logits(&mut engine, data, Ok)?;
    let (mut right_f32, mut right_int8, mut same) = (0u32, 0u32, 0u32);
    for ((label, f), (_, q)) in float.iter().zip(&int8) {
        let (f, q) = (likeliest(f), likeliest(q));
        right_f32 += u32::from(f == label.index());
        right_int8 += u32::from(q == label.index());
        same += u32::from(f == q);
    }
    #[allow(clippy::cast_precision_loss)]
    let share = |n: u32| f64::from(n) / data.len() as f64;
    Ok(Some(Cost {
        faces: data.len(),
        accuracy_f32: share(right_f32),
        accuracy_int8: share(right_int8),
        agreement: share(same),
    }))
}

/// The class with the largest logit.
fn likeliest(logits: &Logits) -> usize {
    (0..CLASSES)
        .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
        .unwrap_or(0)
}

fn summary(ranges: &QuantRanges) -> String {
    let cost = ranges.cost.map_or_else(
        || "its cost in accuracy was not measured, so it is not chosen by itself".to_owned(),
        |cost| {
            let chosen = if cost.points() > INT8_COST_LIMIT {
                format!("over the limit of {INT8_COST_LIMIT} points, so it is not chosen by itself")
            } else {
                format!("within the limit of {INT8_COST_LIMIT} points")
            };
            format!(
                "accuracy {:.4} (f32 {:.4}), same label on {:.2} % of {} rows: {chosen}",
                cost.accuracy_int8,
                cost.accuracy_f32,
                cost.agreement * 100.0,
                cost.faces
            )
        },
    );
    format!("int8: calibrated on {} training rows; {cost}", ranges.faces)
}
