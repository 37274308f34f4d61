//! `POST /predict`: one image or several → seven probabilities each.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::Uri,
    response::Response,
};

use crate::{
    app::App,
    http::{
        job::Job,
        parse::{self, BodyFormat},
        problem::{Failure, Problem},
        timing::Timing,
        types::{Crop, Prediction, Scores},
    },
    pipeline::{EncodedImage, Session},
};

/// Which part of an image is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The largest face, or the whole image if there is none.
    Face,
}

impl Part {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let mut part = Self::Whole;
        for (name, value) in parse::query(uri)? {
            part = match (name.as_str(), value.as_str()) {
                ("crop", "face") => Self::Face,
                ("crop", "none") => Self::Whole,
                ("crop", _) => {
                    return Err(Problem::bad_request(format!(
                        "`crop` must be `face` (the largest face) or `none` (the whole image); got {value:?}"
                    )));
                }
                _ => {
                    return Err(Problem::bad_request(format!(
                        "there is no query parameter {name:?}; there is `crop`"
                    )));
                }
            };
        }
        Ok(part)
    }
}

pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let part = Part::of(request.uri())?;
    let format = BodyFormat::of(request.headers())?;
    let job = Job::begin(&app, request).await?;
    let images = job.images(format).await?;
    let answers = job
        .answer(images, |session, image| classify(session, image, part))
        .await?;
    job.reply("predictions", answers)
}

async fn classify(
    session: Session,
    image: EncodedImage,
    part: Part,
) -> Result<(Prediction, Timing), Failure> {
    let (classified, crop, decode, detect) = match part {
        Part::Whole => {
            let done = session.classify(image).await?;
            (done.face, None, done.decode, None)
        }
        Part::Face => {
            let largest = session.detect_largest(image).await?;
            let classified = session.classify_face(largest.face).await?;
            let crop = Crop::of(largest.rect);
            (classified, Some(crop), largest.decode, Some(largest.detect))
        }
    };
    let scores = Scores::from(classified.probabilities);
    let timing = Timing::of_image(decode, detect, &[classified]);
    Ok((Prediction { scores, crop }, timing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crop_is_read_from_the_query() {
        let part = |query: &str| Part::of(&format!("/predict{query}").parse().unwrap());
        for (query, want) in [
            ("", Part::Whole),
            ("?", Part::Whole),
            ("?crop=none", Part::Whole),
            ("?crop=face", Part::Face),
        ] {
            assert_eq!(part(query).unwrap(), want, "{query}");
        }
        for (query, word) in [("?crop=eyes", "eyes"), ("?crop", "crop"), ("?corp=face", "corp")] {
            let problem = part(query).unwrap_err();
            assert_eq!(problem.code, "bad_request");
            assert!(problem.detail.contains(word), "{}", problem.detail);
        }
    }
}
