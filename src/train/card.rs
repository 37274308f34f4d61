//! The model card that `export` writes beside the weights.

use std::{fmt::Write, path::Path};

use super::TrainError;
use crate::{emotion::Emotion, engine::Manifest};

/// Writes the card as `README.md`, unless there is one: somebody may have worked on it.
///
/// # Errors
/// [`TrainError::File`].
pub fn write_if_missing(manifest: &Manifest, out: &Path) -> Result<(), TrainError> {
    let path = out.join("README.md");
    if path.exists() {
        return Ok(());
    }
    let text = model_card(manifest);
    crate::files::replace(&path, |f| std::io::Write::write_all(f, text.as_bytes())).map_err(TrainError::file(&path))
}

/// A model card in Markdown: what it is, its data and licence, its scores, its limits, what it is not for.
#[must_use]
pub fn model_card(m: &Manifest) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "# {} {}\n\nSeven expression probabilities for a 48×48 gray picture of one face. 3,823,367 parameters: the network of\n\
         \"Convolutional Neural Networks for Facial Expression Recognition\" (arXiv 1704.06756), trained with `fer-train fit`.\n\n",
        m.name, m.version
    );
    text.push_str(
        "| file | what |\n| --- | --- |\n\
         | `model.pt` | TorchScript, batch norm folded; float `[N,1,48,48]` → logits `[N,7]` |\n\
         | `model.safetensors` | the same weights by name, batch norm not folded, for fine-tuning |\n\
         | `model.json` | labels, input scaling, hashes, recipe, seed, scores |\n\n",
    );
    text.push_str(
        "## Data and licence\n\nTrained on the training split of FER2013 (Kaggle, \"Challenges in Representation Learning: Facial Expression\n\
         Recognition\", 2013; Goodfellow et al., arXiv 1307.0414), chosen on its public-test split. The pictures are not part of\n\
         this folder; the challenge's own terms apply to them. The weights are under the licence of this repository.\n\n",
    );
    let recipe = serde_json::to_string_pretty(&m.training).unwrap_or_default();
    let _ = write!(text, "## Recipe\n\n```json\n{recipe}\n```\n\n");
    scores(&mut text, &m.scores);
    text.push_str(
        "## Limits\n\n- People agree with these labels on about 65 % of the pictures; many labels are wrong.\n\
         - Found by web search in 2013: not a fair sample of ages, skin tones, cultures, glasses, lighting. Scores per group are unknown.\n\
         - Needs a face cropped as in FER2013 (forehead to chin filling the frame). A whole photo gives numbers, not an answer.\n\
         - Disgust has 1.5 % of the training rows; fear and sadness are often taken for each other.\n\
         - A probability here is a score over seven labels. It is not a measure of certainty about the person.\n\n\
         ## Intended use\n\nStudying expression recognition, comparing methods, demos, grouping one's own pictures.\n\n\
         An expression is not an inner state: the same face is made for many reasons (Barrett et al. 2019). Do not decide about\n\
         people by it. In the EU, inferring emotions of people at work or in education is prohibited (AI Act, Art. 5(1)(f)),\n\
         and other emotion recognition is subject to its transparency and high-risk rules.\n",
    );
    text
}

fn scores(text: &mut String, scores: &serde_json::Value) {
    text.push_str("## Scores\n\n");
    let number = |v: &serde_json::Value| v.as_f64().map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"));
    if scores.is_null() {
        text.push_str("Not measured: `fer-train eval --model DIR --data X.csv`.\n\n");
        return;
    }
    let _ = write!(
        text,
        "`fer-train eval` on the {} rows of the validation split this model was chosen on, one view a face:\n\
         accuracy {}, macro-F1 {}, log-loss {}, ECE {}.\n\n| label | precision | recall | F1 | rows |\n| --- | --- | --- | --- | --- |\n",
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
