//! `eval --plots`: diagrams of a model's scores, as SVG and as one page that needs nothing else.

mod confusion;
mod draw;
mod learning;
mod mistakes;
mod precision_recall;
mod reliability;
mod report;

use std::path::Path;

use crate::{TrainError, data::Dataset, output::write_file, run::EpochRecord, score::Predictions};
use fer_engine::{
    Manifest,
    folder::{Robustness, ScoreReport},
};

#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) manifest: &'a Manifest,
    /// The rows it was scored on.
    pub(crate) data: &'a Dataset,
    /// True label and probabilities of each row, calibrated.
    pub(crate) predictions: &'a Predictions,
    /// The same without the temperature, if it has one.
    pub(crate) uncalibrated: Option<&'a Predictions>,
    pub(crate) report: &'a ScoreReport,
    /// Empty if they are not known.
    pub(crate) records: &'a [EpochRecord],
    pub(crate) robustness: Option<&'a Robustness>,
}

struct Picture {
    /// File name without its ending.
    name: &'static str,
    /// For the page: what it shows and how to read it.
    caption: &'static str,
    svg: String,
}

/// Draws everything into the folder, which is created if necessary; the names of the files written, in order.
pub(crate) fn write(subject: &Subject<'_>, folder: &Path) -> Result<Vec<String>, TrainError> {
    std::fs::create_dir_all(folder).map_err(TrainError::file(folder))?;
    let mut pictures = vec![
        Picture {
            name: "confusion",
            caption: "Each row is a true label: the share (and number) of its pictures that were given each label. The diagonal is recall.",
            svg: confusion::draw(subject.report)?,
        },
        Picture {
            name: "reliability",
            caption: "How often the likeliest label is right, by the probability it was given. On the diagonal a probability means what it says.",
            svg: reliability::draw(subject)?,
        },
        Picture {
            name: "precision-recall",
            caption: "What is found of a label, and how much of what is called so is right, as the probability asked for falls. The dot is where the label is the likeliest one; AP is the average precision.",
            svg: precision_recall::draw(subject)?,
        },
    ];
    if !subject.records.is_empty() {
        pictures.push(Picture {
            name: "learning",
            caption: "Epoch by epoch: training views are augmented and the training loss is against soft targets, so they are not the same measure as validation. The line marks the epoch that was kept.",
            svg: learning::draw(subject.records)?,
        });
    }
    if let Some(svg) = mistakes::draw(subject)? {
        pictures.push(Picture {
            name: "mistakes",
            caption: "The wrong answers that were given with the highest probability. Many are wrong labels of the data set.",
            svg,
        });
    }
    let mut written = Vec::new();
    let mut keep = |name: String, text: &str| {
        let path = folder.join(&name);
        written.push(name);
        write_file(&path, text.as_bytes())
    };
    for picture in &pictures {
        keep(format!("{}.svg", picture.name), &picture.svg)?;
    }
    keep("report.html".to_owned(), &report::page(subject, &pictures))?;
    Ok(written)
}

#[cfg(test)]
mod tests;
