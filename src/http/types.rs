//! The JSON answers of `/predict`, `/faces` and `/model`; the keys come in the order of the fields.
//!
//! - One image (a raw body, a form with exactly one image, JSON `image`): [`One`].
//! - Several (a form with two or more images, JSON `images`, even with one entry): [`Many`], status 200, with one entry for
//!   each image in the order sent. What is wrong with one image (empty, not base64, not a format we read, broken, too many
//!   pixels) is its entry. What is wrong with the request or the server (too many images, overload, deadline, failure) is
//!   the answer to the whole request, so that it can be sent again as it is.
//! - More images than `--max-images`: 413 `too_many_images`, nothing is decoded.

use fer_engine::{
    EngineInfo, InputSpec, Manifest,
    emotion::{Emotion, Probabilities},
    folder::{Robustness, ScoreReport, Section},
};
use fer_image::faces::Rect;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::problem::{Problem, ProblemBody};
use crate::loaded_model::LoadedModel;

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ModelRef<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> From<&'a Manifest> for ModelRef<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        Self {
            name: &manifest.name,
            version: &manifest.version,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scores {
    emotion: Emotion,
    /// Its probability, 0–1.
    confidence: f32,
    probabilities: Probabilities,
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

/// What was classified, where `crop=face` asks for the largest face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Crop {
    /// `face`, or `picture` if no face was found.
    crop: &'static str,
    /// In pixels of the upright image.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    rect: Option<Rect>,
}

impl Crop {
    /// The face in that box, or without one the whole image.
    pub(crate) const fn of(rect: Option<Rect>) -> Self {
        let crop = if rect.is_some() { "face" } else { "picture" };
        Self { crop, rect }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Prediction {
    #[serde(flatten)]
    pub(crate) scores: Scores,
    /// With `crop=face` only.
    #[serde(flatten)]
    pub(crate) crop: Option<Crop>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct FaceAnswer {
    /// In pixels of the upright photo.
    #[serde(rename = "box")]
    pub(crate) rect: Rect,
    /// The detector's.
    pub(crate) score: f32,
    #[serde(flatten)]
    pub(crate) scores: Scores,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Photo {
    /// In pixels, upright.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Largest first; empty if there is none.
    pub(crate) faces: Vec<FaceAnswer>,
}

/// The answer to one image: a [`Prediction`] or a [`Photo`], then `model`.
#[derive(Debug, Serialize)]
pub(crate) struct One<'a, T> {
    #[serde(flatten)]
    pub(crate) answer: T,
    pub(crate) model: ModelRef<'a>,
}

/// The entry of an image that has no answer: `{"error": problem}`.
#[derive(Debug, Serialize)]
pub(crate) struct Failed<'a> {
    pub(crate) error: ProblemBody<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry<'a, T> {
    Answer(&'a T),
    Failed(Failed<'a>),
}

/// The answer to several images: a list under the name that the route gives it, then `model`.
#[derive(Debug)]
pub(crate) struct Many<'a, T> {
    /// `predictions` or `photos`.
    pub(crate) name: &'static str,
    pub(crate) answers: &'a [Result<T, Problem>],
    pub(crate) request_id: &'a str,
    pub(crate) model: ModelRef<'a>,
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
pub(crate) struct ModelCard<'a> {
    #[serde(flatten)]
    model: ModelRef<'a>,
    /// The seven labels in the order of the output.
    labels: &'a [String],
    input: InputSpec,
    /// The scores that the training program measured, as the manifest holds them; `null` if there are none.
    scores: &'a Section<ScoreReport>,
    /// The accuracy on changed faces that the training program measured; `null` if the manifest has none.
    robustness: &'a Section<Robustness>,
    /// `engine`, `precision`, `device`.
    #[serde(flatten)]
    info: &'a EngineInfo,
}

impl<'a> From<&'a LoadedModel> for ModelCard<'a> {
    fn from(model: &'a LoadedModel) -> Self {
        let manifest = &model.manifest;
        Self {
            model: ModelRef::from(manifest),
            labels: &manifest.labels,
            input: *manifest.input,
            scores: &manifest.scores,
            robustness: &manifest.robustness,
            info: model.batcher.info(),
        }
    }
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
            (Crop::of(None), r#"},"crop":"picture","model":{"#),
            (
                Crop::of(Some(rect)),
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
