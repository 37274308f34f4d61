//! The answers of `/predict` and `/model`; key order is the order of the fields.
//!
//! - One picture (a raw body, a form with exactly one picture, JSON `image`): a [`Prediction`].
//! - Several (a form with two or more pictures, JSON `images`, even with one entry): [`Predictions`], one
//!   [`Entry`] for each in the order sent, status 200. What is wrong with one picture (empty, not base64,
//!   not a format we read, broken, too many pixels) stands in its entry; what is wrong with the request or
//!   the server (too many pictures, overload, deadline, failure) is the answer of the whole request, so
//!   that it can be sent again as it is.
//! - More pictures than `--max-images`: 413 `too_many_images`, nothing is decoded.

use serde::Serialize;

use super::problem::ProblemBody;
use crate::{
    emotion::{Emotion, Probabilities},
    engine::{EngineInfo, InputSpec, Manifest},
    faces::Rect,
};

/// Which model answered.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ModelRef<'a> {
    /// The manifest's name.
    pub name: &'a str,
    /// The manifest's version.
    pub version: &'a str,
}

impl<'a> From<&'a Manifest> for ModelRef<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        Self {
            name: &manifest.name,
            version: &manifest.version,
        }
    }
}

/// The answer for one face: `emotion`, `confidence`, `probabilities`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scores {
    /// The likeliest label.
    pub emotion: Emotion,
    /// Its probability, 0–1.
    pub confidence: f32,
    /// All seven, in label order.
    pub probabilities: Probabilities,
}

impl From<Probabilities> for Scores {
    fn from(probabilities: Probabilities) -> Self {
        let (emotion, confidence) = probabilities.top();
        Self {
            emotion,
            confidence,
            probabilities,
        }
    }
}

/// What was classified, where `crop=face` asks for the largest face: `crop`, and `box` if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Crop {
    /// `face`, or `picture` if no face was found.
    pub crop: &'static str,
    /// Where the face is, in pixels of the upright picture.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    pub rect: Option<Rect>,
}

impl Crop {
    /// The face in that box.
    #[must_use]
    pub const fn face(rect: Rect) -> Self {
        Self {
            crop: "face",
            rect: Some(rect),
        }
    }

    /// The whole picture.
    #[must_use]
    pub const fn picture() -> Self {
        Self {
            crop: "picture",
            rect: None,
        }
    }
}

/// The answer to one picture: `emotion`, `confidence`, `probabilities`, `model`; before `model` what was
/// classified, if it was asked for.
#[derive(Debug, Serialize)]
pub struct Prediction<'a> {
    /// The first three keys.
    #[serde(flatten)]
    pub scores: Scores,
    /// What was classified, with `crop=face`.
    #[serde(flatten)]
    pub crop: Option<Crop>,
    /// Which model answered.
    pub model: ModelRef<'a>,
}

/// One entry of an answer to several pictures.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Entry<'a> {
    /// `emotion`, `confidence`, `probabilities`; the model stands once beside the list.
    Scores {
        /// These three.
        #[serde(flatten)]
        scores: Scores,
        /// What was classified, with `crop=face`.
        #[serde(flatten)]
        crop: Option<Crop>,
    },
    /// `{"error": problem}`
    Error {
        /// What is wrong with this picture.
        error: ProblemBody<'a>,
    },
}

/// The answer to several pictures: `predictions`, `model`.
#[derive(Debug, Serialize)]
pub struct Predictions<'a> {
    /// One entry for each picture, in the order sent.
    pub predictions: Vec<Entry<'a>>,
    /// Which model answered.
    pub model: ModelRef<'a>,
}

/// The answer of `/model`.
#[derive(Debug, Serialize)]
pub struct ModelCard<'a> {
    /// The manifest's name.
    pub name: &'a str,
    /// The manifest's version.
    pub version: &'a str,
    /// The seven labels in the order of the output.
    pub labels: &'a [String],
    /// Size and scaling of what goes in.
    pub input: InputSpec,
    /// The scores the training program measured; whatever the manifest holds, `null` if nothing.
    pub scores: &'a serde_json::Value,
    /// `engine`, `precision`, `device`.
    #[serde(flatten)]
    pub info: &'a EngineInfo,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Problem;

    #[test]
    fn keys_stand_in_the_contracts_order() {
        let scores = Scores::from(Probabilities::from_logits(&[0., 0., 0., 9., 0., 0., 0.]).unwrap());
        let model = ModelRef {
            name: "fer2013",
            version: "1",
        };
        let crop = None;
        let one = serde_json::to_string(&Prediction { scores, crop, model }).unwrap();
        assert!(
            one.starts_with(r#"{"emotion":"happy","confidence":0.99"#),
            "{one}"
        );
        assert!(one.contains(r#","probabilities":{"angry":"#), "{one}");
        assert!(
            one.ends_with(r#"},"model":{"name":"fer2013","version":"1"}}"#),
            "{one}"
        );

        let rect = Rect {
            x: 1,
            y: 2,
            width: 3,
            height: 4,
        };
        for (crop, want) in [
            (Crop::picture(), r#"},"crop":"picture","model":{"#),
            (
                Crop::face(rect),
                r#"},"crop":"face","box":{"x":1,"y":2,"width":3,"height":4},"model":{"#,
            ),
        ] {
            let crop = Some(crop);
            let text = serde_json::to_string(&Prediction { scores, crop, model }).unwrap();
            assert!(text.contains(want), "{text}");
        }

        let problem = Problem::empty_body();
        let many = serde_json::to_string(&Predictions {
            predictions: vec![
                Entry::Scores { scores, crop },
                Entry::Error {
                    error: problem.body(Some("id")),
                },
            ],
            model,
        })
        .unwrap();
        assert!(
            many.starts_with(r#"{"predictions":[{"emotion":"happy""#),
            "{many}"
        );
        assert!(
            many.contains(r#"{"error":{"type":"urn:fer-serve:problem:empty_body","#),
            "{many}"
        );
        assert!(
            many.ends_with(r#"],"model":{"name":"fer2013","version":"1"}}"#),
            "{many}"
        );
    }
}
