//! The seven labels of FER2013 and a probability vector over them.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Number of labels.
pub const CLASSES: usize = 7;

/// A label of the FER2013 data set; the discriminant is the number in its CSV files and the column of the
/// network's output.
#[allow(missing_docs)] // the labels are the documentation
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Emotion {
    Angry,
    Disgust,
    Fear,
    Happy,
    Sad,
    Surprise,
    Neutral,
}

impl Emotion {
    /// Every label, in the order of the network's output and of every answer.
    pub const ALL: [Emotion; CLASSES] = [
        Emotion::Angry,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Surprise,
        Emotion::Neutral,
    ];

    /// The label's name as it stands in answers, metrics and the model folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Emotion::Angry => "angry",
            Emotion::Disgust => "disgust",
            Emotion::Fear => "fear",
            Emotion::Happy => "happy",
            Emotion::Sad => "sad",
            Emotion::Surprise => "surprise",
            Emotion::Neutral => "neutral",
        }
    }

    /// The column of the network's output, 0–6.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label with that number, if it is 0–6.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Emotion> {
        Emotion::ALL.get(index).copied()
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Seven probabilities in the order of [`Emotion::ALL`]: each finite and in 0–1, together 1 ± 1e-4.
///
/// Serialises as an object with the labels as keys, always in that order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probabilities([f32; CLASSES]);

/// The network's output was not finite, so it has no probabilities.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the network's output is not finite: {0:?}")]
pub struct NotFinite(pub [f32; CLASSES]);

impl Probabilities {
    /// Softmax of the network's seven logits, computed in f64 with the maximum subtracted first.
    ///
    /// # Errors
    /// [`NotFinite`] if a logit is NaN or infinite.
    pub fn from_logits(logits: &[f32; CLASSES]) -> Result<Self, NotFinite> {
        if !logits.iter().all(|x| x.is_finite()) {
            return Err(NotFinite(*logits));
        }
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp = logits.map(|x| f64::from(x - max).exp());
        let sum: f64 = exp.iter().sum();
        Ok(Self(exp.map(|x| (x / sum) as f32)))
    }

    /// The values, in the order of [`Emotion::ALL`].
    #[must_use]
    pub const fn values(&self) -> &[f32; CLASSES] {
        &self.0
    }

    /// The likeliest label and its probability; of equals the first.
    #[must_use]
    pub fn top(&self) -> (Emotion, f32) {
        let mut best = 0;
        for (i, p) in self.0.iter().enumerate() {
            if *p > self.0[best] {
                best = i;
            }
        }
        (Emotion::ALL[best], self.0[best])
    }
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Emotion::ALL.iter().zip(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indices_and_names_round_trip() {
        for (i, e) in Emotion::ALL.into_iter().enumerate() {
            assert_eq!(e.index(), i);
            assert_eq!(Emotion::from_index(i), Some(e));
            assert_eq!(serde_json::to_value(e).unwrap(), e.name());
        }
        assert_eq!(Emotion::from_index(7), None);
    }

    #[test]
    fn keys_stand_in_label_order() {
        let p = Probabilities::from_logits(&[0.0; 7]).unwrap();
        let json = serde_json::to_string(&p).unwrap();
        let keys: Vec<_> = json.split('"').skip(1).step_by(2).collect();
        assert_eq!(
            keys,
            ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
        );
    }

    #[test]
    fn refuses_what_is_not_finite() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut logits = [0.0; 7];
            logits[3] = bad;
            assert!(Probabilities::from_logits(&logits).is_err());
        }
    }

    proptest! {
        #[test]
        fn sums_to_one_and_keeps_the_order(logits in prop::array::uniform7(-1e4f32..1e4)) {
            let p = Probabilities::from_logits(&logits).unwrap();
            let sum: f32 = p.values().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-4);
            prop_assert!(p.values().iter().all(|x| (0.0..=1.0).contains(x)));
            let best = logits.iter().copied().fold(f32::MIN, f32::max);
            prop_assert!((p.values()[p.top().0.index()] - p.top().1).abs() < f32::EPSILON);
            // The largest logit has the largest probability (ties and underflow aside).
            let arg = logits.iter().position(|x| *x == best).unwrap();
            prop_assert!(p.values()[arg] >= p.top().1);
        }
    }
}
