//! The model card that is written beside the weights, wholly from `model.json`.

use std::{fmt::Write, path::Path};

use serde_json::Value;

use super::{TrainError, progress::say};
use crate::{emotion::Emotion, engine::Manifest};

/// First line of a card that may be written anew.
const MARK: &str =
    "<!-- Written by fer-train from model.json. Take this line out to keep your own changes. -->";

/// Writes the card as `README.md`, unless there is one without the mark: somebody has worked on it.
///
/// # Errors
/// [`TrainError::File`].
pub(super) fn write(manifest: &Manifest, out: &Path) -> Result<(), TrainError> {
    let path = out.join("README.md");
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
    crate::files::replace(&path, |f| std::io::Write::write_all(f, text.as_bytes()))
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
            "- {train} training rows, {valid} rows to choose the epoch by; weights averaged over the run"
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

fn scores(text: &mut String, scores: &Value) {
    text.push_str("## Scores\n\n");
    if scores.is_null() {
        text.push_str("Not measured: `fer-train eval --model DIR --data X.csv --record`.\n\n");
        return;
    }
    let _ = write!(
        text,
        "`fer-train eval` on {} rows that were not trained on, one view a face: accuracy {}, macro-F1 {}, log-loss {}, ECE {}.\n\
         The epoch and the recipe were chosen, and the temperature fitted, on the validation rows; on them the scores are a little too good.\n\n\
         | label | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n",
        scores["rows"],
        number(&scores["accuracy"]),
        number(&scores["macro_f1"]),
        number(&scores["log_loss"]),
        number(&scores["ece"])
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
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let class =
            |recall: f64| serde_json::json!({"precision": 0.5, "recall": recall, "f1": 0.5, "support": 10});
        let mut per_class = serde_json::Map::new();
        let mut confusion = vec![vec![0; 7]; 7];
        for e in Emotion::ALL {
            let right = if e == Emotion::Fear { 3 } else { 9 };
            per_class.insert(e.name().to_owned(), class(f64::from(right) / 10.0));
            confusion[e.index()][e.index()] = right;
            confusion[e.index()][(e.index() + 2) % 7] = 10 - right;
        }
        serde_json::from_value(serde_json::json!({
            "name": "mine", "version": "7", "labels": Emotion::ALL,
            "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
            "files": {},
            "calibration": {"temperature": 1.25, "rows": 500, "log_loss": {"before": 1.1, "after": 1.0},
                "ece": {"before": 0.09, "after": 0.011}, "ece_two_halves": 0.013},
            "training": {"recipe": {"epochs": 40}, "seed": 3, "precision": "bf16", "rows": {"train": 900, "valid": 500},
                "best": {"epoch": 38, "accuracy": 0.7}, "seconds": 7200, "epochs_trained": 40,
                "started_from": {"name": "other 2", "sha256": "ab12"}},
            "scores": {"accuracy": 0.7, "macro_f1": 0.65, "log_loss": 1.0, "ece": 0.011, "rows": 500,
                "per_class": per_class, "confusion": confusion},
            "robustness": {"rows": 500, "plain": 0.7, "worst": 2.5,
                "cases": [{"change": "blur, sigma 1 px", "accuracy": 0.675, "loss": 2.5}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_card_says_all_that_the_manifest_knows() {
        let card = model_card(&manifest());
        for word in [
            "# mine 7",
            "seed 3, forward and backward pass in bf16",
            "epoch 38 of 40 was kept, with 0.7000",
            "120 minutes",
            "the weights of other 2 (SHA-256 `ab12`)",
            "accuracy 0.7000, macro-F1 0.6500",
            "| fear | 0.5000 | 0.3000 |",
            "temperature 1.2500",
            "0.0900 without it and 0.0110 with it",
            "the error is 0.0130",
            "| blur, sigma 1 px | 0.6750 | -2.5 |",
            "Least found: fear, 30 %",
            "70 % of the pictures of fear are called sad",
            "Art. 5(1)(f)",
        ] {
            assert!(card.contains(word), "{word}\n{card}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut m = manifest();
        m.calibration = None;
        (m.training, m.scores, m.robustness) = (Value::Null, Value::Null, Value::Null);
        let card = model_card(&m);
        assert!(card.contains("Not measured") && card.contains("Not calibrated"));
        for word in ["Robustness", "minutes", "Least found", "started from"] {
            assert!(!card.contains(word), "{word}");
        }
    }

    #[test]
    fn a_card_of_ones_own_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("README.md");
        write(&manifest(), dir.path()).unwrap();
        let mut changed = manifest();
        changed.version = "8".to_owned();
        write(&changed, dir.path()).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("# mine 8"));
        std::fs::write(&path, "# My own\n").unwrap();
        write(&changed, dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# My own\n");
    }
}
