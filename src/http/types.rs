//! The answers of `/predict`, `/faces` and `/model`; key order is the order of the fields.
//!
//! - One picture (a raw body, a form with exactly one picture, JSON `image`): [`One`].
//! - Several (a form with two or more pictures, JSON `images`, even with one entry): [`Many`], one
//!   entry for each in the order sent, status 200. What is wrong with one picture (empty, not base64,
//!   not a format we read, broken, too many pixels) stands in its entry; what is wrong with the request or
//!   the server (too many pictures, overload, deadline, failure) is the answer of the whole request, so
//!   that it can be sent again as it is.
//! - More pictures than `--max-images`: 413 `too_many_images`, nothing is decoded.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::problem::{Problem, ProblemBody};
use crate::{
    emotion::{Emotion, Probabilities},
    engine::{
        EngineInfo, InputSpec, Manifest,
        folder::{ScoreReport, Section},
    },
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

/// What `/predict` says of a picture: `emotion`, `confidence`, `probabilities`, and what was classified, if it was asked for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Prediction {
    /// The first three keys.
    #[serde(flatten)]
    pub scores: Scores,
    /// What was classified, with `crop=face`.
    #[serde(flatten)]
    pub crop: Option<Crop>,
}

/// The answer to one picture: what the route says of it, then `model`.
#[derive(Debug, Serialize)]
pub struct One<'a, T> {
    /// A [`Prediction`], or `/faces`' photo.
    #[serde(flatten)]
    pub answer: T,
    /// Which model answered.
    pub model: ModelRef<'a>,
}

/// What stands in the place of a picture that has no answer: `{"error": problem}`.
#[derive(Debug, Serialize)]
pub struct Failed<'a> {
    /// What is wrong with this picture.
    pub error: ProblemBody<'a>,
}

/// One entry of an answer to several pictures; the model stands once beside the list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry<'a, T> {
    Answer(&'a T),
    Failed(Failed<'a>),
}

/// The answer to several pictures: a list under the name that the route gives it, then `model`.
#[derive(Debug)]
pub struct Many<'a, T> {
    /// `predictions` or `photos`.
    pub name: &'static str,
    /// One for each picture, in the order sent; [`Failed`] where there is none.
    pub answers: &'a [Result<T, Problem>],
    /// The request's id, for the problems.
    pub request_id: &'a str,
    /// Which model answered.
    pub model: ModelRef<'a>,
}

impl<T: Serialize> Serialize for Many<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.answers.iter().map(|answer| match answer {
            Ok(answer) => Entry::Answer(answer),
            Err(problem) => Entry::Failed(Failed {
                error: problem.body(Some(self.request_id)),
            }),
        });
        let entries: Vec<_> = entries.collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.name, &entries)?;
        map.serialize_entry("model", &self.model)?;
        map.end()
    }
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
    /// The scores that `fer-train` measured; whatever the manifest holds, `null` if nothing.
    pub scores: &'a Section<ScoreReport>,
    /// `engine`, `precision`, `device`.
    #[serde(flatten)]
    pub info: &'a EngineInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_contracts_order() {
        let scores = Scores::from(Probabilities::from_logits(&[0., 0., 0., 9., 0., 0., 0.]).unwrap());
        let model = ModelRef {
            name: "fer2013",
            version: "1",
        };
        let one = |crop| {
            let answer = Prediction { scores, crop };
            serde_json::to_string(&One { answer, model }).unwrap()
        };
        let text = one(None);
        assert!(
            text.starts_with(r#"{"emotion":"happy","confidence":0.99"#),
            "{text}"
        );
        assert!(text.contains(r#","probabilities":{"angry":"#), "{text}");
        assert!(
            text.ends_with(r#"},"model":{"name":"fer2013","version":"1"}}"#),
            "{text}"
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
            let text = one(Some(crop));
            assert!(text.contains(want), "{text}");
        }

        let crop = None;
        let text = serde_json::to_string(&Many {
            name: "predictions",
            answers: &[Ok(Prediction { scores, crop }), Err(Problem::empty_body())],
            request_id: "id",
            model,
        })
        .unwrap();
        assert!(
            text.starts_with(r#"{"predictions":[{"emotion":"happy""#),
            "{text}"
        );
        assert!(
            text.contains(r#"{"error":{"type":"urn:fer-serve:problem:empty_body","#),
            "{text}"
        );
        assert!(
            text.ends_with(r#","request_id":"id"}}],"model":{"name":"fer2013","version":"1"}}"#),
            "{text}"
        );
    }
}
