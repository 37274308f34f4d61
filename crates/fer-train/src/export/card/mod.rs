//! The model card next to the weights, generated from `model.json` alone.

use std::{fmt::Write, path::Path};

use serde::Deserialize;

use crate::{
    TrainError,
    output::{say, write_file},
    score::scores::in_words,
};
use fer_engine::{
    Manifest, TemperatureFit,
    emotion::Emotion,
    folder::{Best, Provenance, Robustness, Rows, ScoreReport, Section, Training},
};

/// First line of a card that may be overwritten.
const MARK: &str =
    "<!-- Written by fer-train from model.json. Take this line out to keep your own changes. -->";

/// The card's file, the last that is written into a model folder.
pub(crate) const FILE: &str = "README.md";

/// Writes the card as [`FILE`], unless there is one without the mark, which a person has edited.
pub(crate) fn write(manifest: &Manifest, out: &Path) -> Result<(), TrainError> {
    let path = out.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.starts_with(MARK) => {
            say(&format!(
                "{} is somebody's own work and is left as it is: it may not fit model.json any more",
                path.display()
            ));
            return Ok(());
        }
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(TrainError::file(&path)(e)),
        _ => {}
    }
    write_file(&path, model_card(manifest).as_bytes())
}

/// The card in Markdown: what the model is, its data and licence, recipe, scores and limits, what it is not for.
fn model_card(m: &Manifest) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "{MARK}\n\n# {} {}\n\nSeven expression probabilities for a 48×48 gray picture of one face. 3,823,367 parameters: the network of\n\
         \"Convolutional Neural Networks for Facial Expression Recognition\" (arXiv 1704.06756), trained with `fer-train fit`.\n\n",
        m.name, m.version
    );
    text.push_str(
        "| file | what |\n| --- | --- |\n\
         | `model.pt` | TorchScript, batch norm folded; float `[N,1,48,48]` → logits `[N,7]`, not divided by the temperature |\n\
         | `model.safetensors` | the same weights by name, batch norm not folded, for fine-tuning |\n\
         | `model.int8.json` | if there: the scales of the int8 engine, what they cost, and whose weights they are for |\n\
         | `model.json` | labels, input scaling, hashes, temperature, recipe, seed, scores |\n\n",
    );
    text.push_str(
        "## Data and licence\n\nTrained on the training split of FER2013 (Kaggle, \"Challenges in Representation Learning: Facial Expression\n\
         Recognition\", 2013; Goodfellow et al., arXiv 1307.0414), chosen on its public-test split. The pictures are not part of\n\
         this folder; the challenge's own terms apply to them. The weights are under the licence of this repository.\n\n",
    );
    recipe(&mut text, &m.training);
    match m.scores.known() {
        Some(report) => scores(&mut text, report),
        None => text
            .push_str("## Scores\n\nNot measured: `fer-train eval --model DIR --data X.csv --record`.\n\n"),
    }
    temperature(&mut text, m.temperature_fit.as_deref());
    if let Some(report) = m.robustness.known() {
        robustness(&mut text, report);
    }
    text.push_str(
        "## Limits\n\n- People agree with these labels on about 65 % of the pictures; many labels are wrong.\n\
         - Found by web search in 2013: not a fair sample of ages, skin tones, cultures, glasses, lighting. Scores per group are unknown.\n\
         - Needs a face cropped as in FER2013 (forehead to chin filling the frame). A whole photo gives numbers, not an answer.\n",
    );
    if let Some(report) = m.scores.known() {
        weaknesses(&mut text, report);
    }
    text.push_str(
        "- A probability here is a score over seven labels. It is not a measure of certainty about the person.\n\n\
         ## Intended use\n\nStudying expression recognition, comparing methods, demos, grouping one's own pictures.\n\n\
         An expression is not an inner state: the same face is made for many reasons (Barrett et al. 2019). Do not decide about\n\
         people by it. In the EU, inferring emotions of people at work or in education is prohibited (AI Act, Art. 5(1)(f)),\n\
         and other emotion recognition is subject to its transparency and high-risk rules.\n",
    );
    text
}

/// The number of the rows just named that have the face of a training row, as a parenthesis; nothing if it is 0 or
/// not known.
fn repeated(count: Option<usize>) -> String {
    match count {
        Some(count) if count > 0 => format!(" ({count} of them have the same face as a training row)"),
        _ => String::new(),
    }
}

/// What the card says about a recipe. Recipes of older versions lack some of it, and the defaults of today are not
/// theirs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RecipeFacts {
    epochs: u32,
    average_decay: Option<f64>,
    distillation: DistillationFacts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DistillationFacts {
    teachers: usize,
    epochs: u32,
}

fn recipe(text: &mut String, section: &Section<Training>) {
    text.push_str("## Recipe\n\n");
    if let Some(training) = section.known() {
        facts(text, training);
    }
    let json = serde_json::to_string_pretty(section).unwrap_or_default();
    let _ = write!(text, "\n```json\n{json}\n```\n\n");
}

fn facts(text: &mut String, training: &Training) {
    let recipe = RecipeFacts::deserialize(&training.recipe).unwrap_or_default();
    let Rows { train, valid, .. } = training.rows.known;
    let _ = writeln!(
        text,
        "- {train} training rows, {valid} rows to choose the epoch by{}{}",
        repeated(training.repeated_faces),
        match recipe.average_decay {
            Some(decay) if decay <= 0.0 => "",
            _ => "; weights averaged over the run",
        }
    );
    let (seed, precision) = (training.seed, &training.precision);
    let _ = writeln!(text, "- seed {seed}, forward and backward pass in {precision}");
    if let Some(Best { epoch, accuracy }) = training.best.as_deref() {
        let epochs = match recipe.distillation {
            DistillationFacts { teachers: 0, .. } => recipe.epochs,
            DistillationFacts { epochs, .. } => epochs,
        };
        let _ = writeln!(
            text,
            "- epoch {epoch} of {epochs} was kept, with {accuracy:.4} on the rows to choose by"
        );
    }
    if let (Some(seconds), Some(epochs)) = (training.seconds, training.epochs_trained) {
        let _ = writeln!(
            text,
            "- {:.0} minutes of training steps in {epochs} epochs (of an epoch that was interrupted, only the last part)",
            seconds / 60.0
        );
    }
    for teacher in &training.teachers {
        let Provenance { name, sha256 } = &teacher.known;
        let _ = writeln!(text, "- learnt from {name} (SHA-256 `{sha256}`)");
    }
    if let Some(from) = training.started_from.known() {
        let Provenance { name, sha256 } = &from.known;
        let _ = writeln!(
            text,
            "- started from the weights of {name} (SHA-256 `{sha256}`), not from random ones"
        );
    }
}

fn scores(text: &mut String, report: &ScoreReport) {
    let _ = writeln!(
        text,
        "## Scores\n\n`fer-train eval` on {} rows, one view a face: {}.",
        report.scores.rows,
        in_words(&report.scores)
    );
    match report.repeated_faces {
        None => {
            text.push_str("Whether training rows have the same faces was not looked at (`--train` does).\n");
        }
        Some(0) => text.push_str("None of them has the same face as a training row.\n"),
        Some(count) => {
            let _ = write!(text, "{count} of them have the same face as a training row");
            if let Some(unseen) = &report.unseen {
                let _ = write!(text, "; on the other {}: {}", unseen.rows, in_words(unseen));
            }
            text.push_str(".\n");
        }
    }
    text.push_str(
        "The epoch and the recipe were chosen, and the temperature fitted, on the validation rows; on them the scores are a little too good.\n\n\
         | label | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n",
    );
    for (emotion, class) in Emotion::ALL.iter().zip(&report.per_class) {
        let _ = writeln!(
            text,
            "| {emotion} | {:.4} | {:.4} | {:.4} | {} |",
            class.precision, class.recall, class.f1, class.support
        );
    }
    text.push('\n');
}

fn temperature(text: &mut String, fit: Option<&TemperatureFit>) {
    text.push_str("## Calibration\n\n");
    let Some(fit) = fit else {
        text.push_str("Not calibrated: the probabilities are the softmax of the logits.\n\n");
        return;
    };
    let _ = write!(
        text,
        "Logits are divided by the temperature {:.4} before the softmax",
        fit.temperature
    );
    if let (Some(rows), Some(ece), Some(loss)) = (fit.rows, &fit.ece, &fit.log_loss) {
        let _ = write!(
            text,
            ", fitted by least log-loss on {rows} validation rows. There the expected\n\
             calibration error is {:.4} without it and {:.4} with it, the log-loss {:.4} and {:.4}",
            ece.before, ece.after, loss.before, loss.after
        );
    }
    if let Some(ece) = fit.ece_two_halves {
        let _ = write!(
            text,
            "; with half of the rows fitted and the other\nhalf measured, the error is {ece:.4}"
        );
    }
    text.push_str(".\n\n");
}

fn robustness(text: &mut String, report: &Robustness) {
    let _ = write!(
        text,
        "## Robustness\n\n`fer-train eval --robustness` on {} rows: accuracy on changed faces, and the difference to plain ones in\n\
         percentage points.\n\n| change | accuracy | points |\n| --- | --- | --- |\n| none | {:.4} | |\n",
        report.rows, report.plain
    );
    for case in &report.cases {
        let points = -case.loss;
        let _ = writeln!(text, "| {} | {:.4} | {points:+.1} |", case.change, case.accuracy);
    }
    text.push('\n');
}

/// The label that is found least, and the pair that is confused most.
fn weaknesses(text: &mut String, report: &ScoreReport) {
    let classes = Emotion::ALL.into_iter().zip(&report.per_class);
    let least = classes
        .filter(|(_, class)| class.support > 0)
        .min_by(|a, b| a.1.recall.total_cmp(&b.1.recall));
    if let Some((emotion, class)) = least {
        let _ = writeln!(
            text,
            "- Least found: {emotion}, {:.0} % of its pictures. Disgust has 1.5 % of the training rows.",
            100.0 * class.recall
        );
    }
    let mut worst = None;
    let mut largest = 0.0;
    for (truth, row) in Emotion::ALL.into_iter().zip(&report.confusion) {
        let all: u64 = row.iter().sum();
        for (predicted, count) in Emotion::ALL.into_iter().zip(row).filter(|(p, _)| *p != truth) {
            #[allow(clippy::cast_precision_loss)]
            let share = *count as f64 / all.max(1) as f64;
            if share > largest {
                (largest, worst) = (share, Some((truth, predicted)));
            }
        }
    }
    if let Some((truth, predicted)) = worst {
        let _ = writeln!(
            text,
            "- Most often confused: {:.0} % of the pictures of {truth} are called {predicted}.",
            100.0 * largest
        );
    }
}

#[cfg(test)]
mod tests;
