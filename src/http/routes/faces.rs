//! `POST /faces`: a photo → every face in it: its place, the detector's score, seven probabilities.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::Uri,
    response::Response,
};
use fer_image::faces::Options;

use crate::{
    app::App,
    http::{
        job::Job,
        parse::{self, BodyFormat},
        problem::{Failure, Problem},
        timing::Timing,
        types::{FaceAnswer, Photo, Scores},
    },
    pipeline::{EncodedImage, Session},
};

pub(crate) async fn faces(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let options = options(request.uri(), app.config.max_faces.get())?;
    let format = BodyFormat::of(request.headers())?;
    let job = Job::begin(&app, request).await?;
    let photos = job.images(format).await?;
    let answers = job
        .answer(photos, |session, photo| classify(session, photo, options))
        .await?;
    job.reply("photos", answers)
}

async fn classify(
    session: Session,
    photo: EncodedImage,
    options: Options,
) -> Result<(Photo, Timing), Failure> {
    let detection = session.detect(photo, options).await?;
    let faces = detection.found.faces.iter().map(|found| found.face.clone());
    let classified = session.classify_faces(faces).await?;
    let timing = Timing::of_image(detection.decode, Some(detection.detect), &classified);
    let faces = detection
        .found
        .faces
        .iter()
        .zip(classified)
        .map(|(found, classified)| FaceAnswer {
            rect: found.rect,
            score: found.score,
            scores: Scores::from(classified.probabilities),
        });
    let photo = Photo {
        width: detection.found.width,
        height: detection.found.height,
        faces: faces.collect(),
    };
    Ok((photo, timing))
}

/// The options that the query string asks for; without it those of the server.
fn options(uri: &Uri, most: usize) -> Result<Options, Problem> {
    let mut options = Options {
        max_faces: most,
        ..Options::default()
    };
    for (name, value) in parse::query(uri)? {
        let (name, value) = (name.as_str(), value.as_str());
        match name {
            "max_faces" => options.max_faces = in_range(name, value, "a whole number", &(1..=most))?,
            "min_face" => {
                let pixels = in_range(name, value, "a whole number of pixels", &Options::MIN_FACE)?;
                options.min_face = Some(pixels);
            }
            "score" => options.score = in_range(name, value, "a number", &Options::SCORE)?,
            _ => {
                return Err(Problem::bad_request(format!(
                    "there is no query parameter {name:?}; there are `max_faces`, `min_face` and `score`"
                )));
            }
        }
    }
    Ok(options)
}

fn in_range<T: FromStr + PartialOrd + Display>(
    name: &str,
    value: &str,
    kind: &str,
    range: &RangeInclusive<T>,
) -> Result<T, Problem> {
    let parsed = value.parse().ok().filter(|n| range.contains(n));
    parsed.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        Problem::bad_request(format!(
            "`{name}` must be {kind} from {least} to {most}; got {value:?}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Options, Problem> {
        options(&format!("/faces{query}").parse().unwrap(), 64)
    }

    #[test]
    fn the_query_changes_the_defaults() {
        let default = Options {
            max_faces: 64,
            ..Options::default()
        };
        assert_eq!(parsed("").unwrap(), default);
        let all = parsed("?max_faces=3&min_face=20&score=4.5").unwrap();
        assert_eq!((all.max_faces, all.min_face, all.score), (3, Some(20), 4.5));
    }

    #[test]
    fn a_bad_value_is_named_with_its_range() {
        for (query, words) in [
            ("?max_faces=0", ["`max_faces`", "1 to 64"]),
            ("?max_faces=65", ["`max_faces`", "1 to 64"]),
            ("?max_faces=-1", ["`max_faces`", "\"-1\""]),
            ("?min_face=19", ["`min_face`", "20 to 10000"]),
            ("?min_face=x", ["`min_face`", "\"x\""]),
            ("?score=0.5", ["`score`", "1 to 100"]),
            ("?score=NaN", ["`score`", "\"NaN\""]),
            ("?score=", ["`score`", "\"\""]),
            ("?maxfaces=1", ["maxfaces", "`max_faces`"]),
        ] {
            let problem = parsed(query).unwrap_err();
            assert_eq!((problem.status.as_u16(), problem.code), (400, "bad_request"));
            for word in words {
                assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
            }
        }
    }
}
