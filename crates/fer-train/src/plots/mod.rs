//! `eval --plots`: pictures of a model's scores, as PNG and as one page that needs nothing else.
//!
//! - `pen`: shapes and text on a picture; the font is inside the program, so none need be installed
//! - `axes`: a frame with ticks
//! - `confusion`, `reliability`, `precision_recall`, `learning`, `mistakes`: one picture each
//! - `report`: all of them in one HTML file

mod axes;
mod confusion;
mod learning;
mod mistakes;
mod pen;
mod precision_recall;
mod reliability;
mod report;

use std::path::Path;

use super::{TrainError, data::Dataset, evaluate::Scores, robustness::Robustness, run::EpochRecord};
use fer_engine::{
    Manifest,
    emotion::{Emotion, Probabilities},
};

/// What is drawn.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The model.
    pub manifest: &'a Manifest,
    /// The rows it was scored on.
    pub data: &'a Dataset,
    /// True label and probabilities of each row, calibrated.
    pub predictions: &'a [(Emotion, Probabilities)],
    /// The same without the temperature, if it has one.
    pub untempered: Option<&'a [(Emotion, Probabilities)]>,
    /// Scores of the predictions.
    pub scores: &'a Scores,
    /// The epochs of its training, if they are known.
    pub records: &'a [EpochRecord],
    /// What changes to the pictures cost, if it was measured.
    pub robustness: Option<&'a Robustness>,
}

/// A finished picture.
struct Picture {
    /// File name without its ending.
    name: &'static str,
    /// For the page: what it shows and how to read it.
    caption: &'static str,
    png: Vec<u8>,
}

/// Draws everything into the folder, which is made if need be; the names of the files written, in order.
///
/// # Errors
/// [`TrainError::File`] or [`TrainError::Draw`].
pub fn write(subject: &Subject<'_>, folder: &Path) -> Result<Vec<String>, TrainError> {
    std::fs::create_dir_all(folder).map_err(TrainError::file(folder))?;
    let mut pictures = vec![
        Picture {
            name: "confusion",
            caption: "Each row is a true label: the share (and number) of its pictures that were given each label. The diagonal is recall.",
            png: confusion::draw(subject.scores)?,
        },
        Picture {
            name: "reliability",
            caption: "How often the likeliest label is right, by the probability it was given. On the diagonal a probability means what it says.",
            png: reliability::draw(subject)?,
        },
        Picture {
            name: "precision-recall",
            caption: "What is found of a label, and how much of what is called so is right, as the probability asked for falls. The dot is where the label is the likeliest one; AP is the average precision.",
            png: precision_recall::draw(subject)?,
        },
    ];
    if !subject.records.is_empty() {
        pictures.push(Picture {
            name: "learning",
            caption: "Epoch by epoch: training views are augmented and the training loss is against soft targets, so they are not the same measure as validation. The line marks the epoch that was kept.",
            png: learning::draw(subject.records)?,
        });
    }
    if let Some(png) = mistakes::draw(subject)? {
        pictures.push(Picture {
            name: "mistakes",
            caption: "The wrong answers that were given with the highest probability. Many are wrong labels of the data set.",
            png,
        });
    }
    let mut written = Vec::new();
    let mut keep = |name: String, bytes: &[u8]| {
        let path = folder.join(&name);
        written.push(name);
        fer_engine::files::replace(&path, |f| std::io::Write::write_all(f, bytes))
            .map_err(TrainError::file(&path))
    };
    for picture in &pictures {
        keep(format!("{}.png", picture.name), &picture.png)?;
    }
    keep(
        "report.html".to_owned(),
        report::page(subject, &pictures).as_bytes(),
    )?;
    Ok(written)
}

#[cfg(test)]
mod tests;
