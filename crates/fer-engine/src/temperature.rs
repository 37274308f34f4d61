//! Calibrated probabilities: every logit is divided by one temperature before the softmax (Guo et al. 2017,
//! arXiv 1706.04599). It moves no label; it makes the confidence fit how often the model is right.

use serde::{Deserialize, Serialize};

use crate::{Classifier, EngineError, EngineInfo, Logits, folder::Kept};
use fer_image::Face;

/// The temperatures that `model.json` may name.
const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// `calibration` of `model.json`. Only the temperature is needed; the rest says where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemperatureFit {
    /// Logits are divided by it: above 1 the model was too sure, below 1 not sure enough.
    pub temperature: f64,
    /// Held-out rows that it was fitted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Log-loss on them without it and with it, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<Kept<BeforeAfter>>,
    /// Expected calibration error on them without it and with it, 0–1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<Kept<BeforeAfter>>,
    /// The same error with the temperature fitted on one half of the rows and the error taken on the other, both
    /// ways round: what rows it was not fitted on may expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece_two_halves: Option<f64>,
}

/// A score without the temperature and with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BeforeAfter {
    /// At temperature 1.
    pub before: f64,
    /// At the fitted one.
    pub after: f64,
}

impl TemperatureFit {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// A sentence, if the temperature is outside [`TEMPERATURES`].
    pub fn check(&self) -> Result<(), String> {
        if TEMPERATURES.contains(&self.temperature) {
            return Ok(());
        }
        Err(format!(
            "calibration.temperature is {}; {} to {} is wanted",
            self.temperature,
            TEMPERATURES.start(),
            TEMPERATURES.end()
        ))
    }
}

/// Every logit divided by the temperature: the only place where that is done.
#[must_use]
pub fn apply_temperature(mut logits: Vec<Logits>, temperature: f64) -> Vec<Logits> {
    for x in logits.iter_mut().flatten() {
        #[allow(clippy::cast_possible_truncation)]
        let divided = (f64::from(*x) / temperature) as f32;
        *x = divided;
    }
    logits
}

/// An engine whose logits are divided by the folder's temperature: what serves and what is scored.
pub(crate) struct WithTemperature {
    /// Gives the network's own logits.
    pub(crate) inner: Box<dyn Classifier>,
    pub(crate) temperature: f64,
}

impl Classifier for WithTemperature {
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError> {
        Ok(apply_temperature(self.inner.classify(faces)?, self.temperature))
    }

    fn info(&self) -> EngineInfo {
        self.inner.info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changes_nothing_and_others_divide() {
        let logits = vec![[0.1, -2.0, 3.7, 0.0, 1e-3, 40.0, -0.3]];
        assert_eq!(apply_temperature(logits.clone(), 1.0), logits);
        assert_eq!(
            apply_temperature(vec![[1.0, 2.0, 3.0, -4.0, 0.0, 8.0, 0.5]], 2.0),
            [[0.5, 1.0, 1.5, -2.0, 0.0, 4.0, 0.25]]
        );
    }

    #[test]
    fn a_bare_temperature_is_enough_and_a_wrong_one_is_named() {
        let read = |t: &str| serde_json::from_str::<TemperatureFit>(t).unwrap();
        let bare = read(r#"{"temperature":1.5}"#);
        assert!((bare.temperature, bare.rows, bare.check()) == (1.5, None, Ok(())));
        for bad in ["0", "-1", "0.009", "101"] {
            let message = read(&format!(r#"{{"temperature":{bad}}}"#)).check().unwrap_err();
            assert!(message.contains("calibration.temperature"), "{message}");
        }
    }
}
