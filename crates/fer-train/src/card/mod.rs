//! The model card that is written beside the weights, wholly from `model.json`.

use std::{fmt::Write, path::Path};

use serde_json::Value;

use super::{TrainError, output::say};
use fer_engine::{Manifest, emotion::Emotion};

/// First line of a card that may be written anew.
const MARK: &str =
    "<!-- Written by fer-train from model.json. Take this line out to keep your own changes. -->";

/// The card's file, the last that is written into a model folder.
pub(super) const FILE: &str = "README.md";

/// Writes the card as [`FILE`], unless there is one without the mark: somebody has worked on it.
///
/// # Errors
/// [`TrainError::File`].
pub(super) fn write(manifest: &Manifest, out: &Path) -> Result<(), TrainError> {
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
    let text = model_card(manifest);
    fer_engine::files::replace(&path, |f| std::io::Write::write_all(f, text.as_bytes()))
        .map_err(TrainError::file(&path))
}

/// A model card in Markdown: what it is, its data and licence, its recipe, its scores, its limits, what it is not for.
#[must_use]
pub(super) fn model_card(m: &Manifest) -> String {
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
    scores(&mut text, &m.scores);
    calibration(&mut text, m);
    robustness(&mut text, &m.robustness);
    text.push_str(
        "## Limits\n\n- People agree with these labels on about 65 % of the pictures; many labels are wrong.\n\
         - Found by web search in 2013: not a fair sample of ages, skin tones, cultures, glasses, lighting. Scores per group are unknown.\n\
         - Needs a face cropped as in FER2013 (forehead to chin filling the frame). A whole photo gives numbers, not an answer.\n",
    );
    weaknesses(&mut text, &m.scores);
    text.push_str(
        "- A probability here is a score over seven labels. It is not a measure of certainty about the person.\n\n\
         ## Intended use\n\nStudying expression recognition, comparing methods, demos, grouping one's own pictures.\n\n\
         An expression is not an inner state: the same face is made for many reasons (Barrett et al. 2019). Do not decide about\n\
         people by it. In the EU, inferring emotions of people at work or in education is prohibited (AI Act, Art. 5(1)(f)),\n\
         and other emotion recognition is subject to its transparency and high-risk rules.\n",
    );
    text
}

fn number(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"))
}

/// How many of the rows just named have the face of a training row, as a parenthesis; nothing if none has or it is not known.
fn repeated(count: &Value) -> String {
    match count.as_u64() {
        Some(count) if count > 0 => format!(" ({count} of them have the same face as a training row)"),
        _ => String::new(),
    }
}

/// That the weights are averaged ones, unless the recipe says that they are not.
fn averaged(recipe: &Value) -> &'static str {
    match recipe["average_decay"].as_f64() {
        Some(decay) if decay <= 0.0 => "",
        _ => "; weights averaged over the run",
    }
}

/// Epochs of the run whose network this is.
fn last_stage_epochs(training: &Value) -> u64 {
    let recipe = &training["recipe"];
    let taught = recipe["distillation"]["teachers"].as_u64().unwrap_or(0) > 0;
    let epochs = if taught {
        &recipe["distillation"]["epochs"]
    } else {
        &recipe["epochs"]
    };
    epochs.as_u64().unwrap_or_default()
}

fn recipe(text: &mut String, training: &Value) {
    text.push_str("## Recipe\n\n");
    let rows = &training["rows"];
    if let (Some(train), Some(valid)) = (rows["train"].as_u64(), rows["valid"].as_u64()) {
        let _ = writeln!(
            text,
            "- {train} training rows, {valid} rows to choose the epoch by{}{}",
            repeated(&training["repeated_faces"]),
            averaged(&training["recipe"])
        );
    }
    if let (Some(seed), Some(precision)) = (training["seed"].as_u64(), training["precision"].as_str()) {
        let _ = writeln!(text, "- seed {seed}, forward and backward pass in {precision}");
    }
    if let (Some(epoch), Some(accuracy)) = (
        training["best"]["epoch"].as_u64(),
        training["best"]["accuracy"].as_f64(),
    ) {
        let _ = writeln!(
            text,
            "- epoch {epoch} of {} was kept, with {accuracy:.4} on the rows to choose by",
            last_stage_epochs(training)
        );
    }
    if let (Some(seconds), Some(epochs)) = (training["seconds"].as_f64(), training["epochs_trained"].as_u64())
    {
        let _ = writeln!(
            text,
            "- {:.0} minutes of training steps in {epochs} epochs (of an epoch that was interrupted, only the last part)",
            seconds / 60.0
        );
    }
    for teacher in training["teachers"].as_array().into_iter().flatten() {
        if let (Some(name), Some(sha256)) = (teacher["name"].as_str(), teacher["sha256"].as_str()) {
            let _ = writeln!(text, "- learnt from {name} (SHA-256 `{sha256}`)");
        }
    }
    let from = &training["started_from"];
    if let (Some(name), Some(sha256)) = (from["name"].as_str(), from["sha256"].as_str()) {
        let _ = writeln!(
            text,
            "- started from the weights of {name} (SHA-256 `{sha256}`), not from random ones"
        );
    } else if let Some(what) = from["what"].as_str() {
        let _ = writeln!(text, "- started from {what}");
    }
    let json = serde_json::to_string_pretty(training).unwrap_or_default();
    let _ = write!(text, "\n```json\n{json}\n```\n\n");
}

/// The four scores in words.
fn four(scores: &Value) -> String {
    format!(
        "accuracy {}, macro-F1 {}, log-loss {}, ECE {}",
        number(&scores["accuracy"]),
        number(&scores["macro_f1"]),
        number(&scores["log_loss"]),
        number(&scores["ece"])
    )
}

fn scores(text: &mut String, scores: &Value) {
    text.push_str("## Scores\n\n");
    if scores.is_null() {
        text.push_str("Not measured: `fer-train eval --model DIR --data X.csv --record`.\n\n");
        return;
    }
    let _ = writeln!(
        text,
        "`fer-train eval` on {} rows, one view a face: {}.",
        scores["rows"],
        four(scores)
    );
    let unseen = &scores["unseen"];
    match scores["repeated_faces"].as_u64() {
        None => {
            text.push_str("Whether training rows have the same faces was not looked at (`--train` does).\n");
        }
        Some(0) => text.push_str("None of them has the same face as a training row.\n"),
        Some(count) => {
            let _ = write!(text, "{count} of them have the same face as a training row");
            if !unseen.is_null() {
                let _ = write!(text, "; on the other {}: {}", unseen["rows"], four(unseen));
            }
            text.push_str(".\n");
        }
    }
    text.push_str(
        "The epoch and the recipe were chosen, and the temperature fitted, on the validation rows; on them the scores are a little too good.\n\n\
         | label | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n",
    );
    for emotion in Emotion::ALL {
        let c = &scores["per_class"][emotion.name()];
        let _ = writeln!(
            text,
            "| {emotion} | {} | {} | {} | {} |",
            number(&c["precision"]),
            number(&c["recall"]),
            number(&c["f1"]),
            c["support"]
        );
    }
    text.push('\n');
}

fn calibration(text: &mut String, m: &Manifest) {
    text.push_str("## Calibration\n\n");
    let Some(c) = m.calibration else {
        text.push_str("Not calibrated: the probabilities are the softmax of the logits.\n\n");
        return;
    };
    let _ = write!(
        text,
        "Logits are divided by the temperature {:.4} before the softmax",
        c.temperature
    );
    if let (Some(rows), Some(ece), Some(loss)) = (c.rows, c.ece, c.log_loss) {
        let _ = write!(
            text,
            ", fitted by least log-loss on {rows} validation rows. There the expected\n\
             calibration error is {:.4} without it and {:.4} with it, the log-loss {:.4} and {:.4}",
            ece.before, ece.after, loss.before, loss.after
        );
    }
    if let Some(ece) = c.ece_two_halves {
        let _ = write!(
            text,
            "; with half of the rows fitted and the other\nhalf measured, the error is {ece:.4}"
        );
    }
    text.push_str(".\n\n");
}

fn robustness(text: &mut String, robustness: &Value) {
    let Some(cases) = robustness["cases"].as_array() else {
        return;
    };
    let _ = write!(
        text,
        "## Robustness\n\n`fer-train eval --robustness` on {} rows: accuracy on changed faces, and the difference to plain ones in\n\
         percentage points.\n\n| change | accuracy | points |\n| --- | --- | --- |\n| none | {} | |\n",
        robustness["rows"],
        number(&robustness["plain"])
    );
    for c in cases {
        let _ = writeln!(
            text,
            "| {} | {} | {:+.1} |",
            c["change"].as_str().unwrap_or_default(),
            number(&c["accuracy"]),
            -c["loss"].as_f64().unwrap_or_default()
        );
    }
    text.push('\n');
}

/// The label that is found least, and the pair that is taken for each other most.
fn weaknesses(text: &mut String, scores: &Value) {
    let least = Emotion::ALL
        .into_iter()
        .filter_map(|e| {
            let c = &scores["per_class"][e.name()];
            (c["support"].as_u64()? > 0).then_some((e, c["recall"].as_f64()?))
        })
        .min_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((emotion, recall)) = least {
        let _ = writeln!(
            text,
            "- Least found: {emotion}, {:.0} % of its pictures. Disgust has 1.5 % of the training rows.",
            100.0 * recall
        );
    }
    let mut worst: Option<(f64, Emotion, Emotion)> = None;
    for truth in Emotion::ALL {
        let row = &scores["confusion"][truth.index()];
        let count = |e: Emotion| row[e.index()].as_f64().unwrap_or(0.0);
        let all: f64 = Emotion::ALL.into_iter().map(count).sum();
        for predicted in Emotion::ALL.into_iter().filter(|p| *p != truth) {
            let share = if all > 0.0 { count(predicted) / all } else { 0.0 };
            if share > worst.map_or(0.0, |w| w.0) {
                worst = Some((share, truth, predicted));
            }
        }
    }
    if let Some((share, truth, predicted)) = worst {
        let _ = writeln!(
            text,
            "- Most often confused: {:.0} % of the pictures of {truth} are called {predicted}.",
            100.0 * share
        );
    }
}

#[cfg(test)]
mod tests;
