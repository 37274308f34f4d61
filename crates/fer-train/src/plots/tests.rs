use super::*;
use crate::{data::Reader, score::scores::score};
use fer_engine::{
    InputSpec, drawn_faces,
    emotion::{Emotion, Probabilities},
};

fn manifest() -> Manifest {
    let input = InputSpec {
        width: 48,
        height: 48,
        channels: 1,
        scale: 1.0,
        mean: 0.0,
        std: 1.0,
    };
    Manifest::new("<b>m</b>", "1", input)
}

/// Drawn faces, labels in turn, as the reader gives them.
fn dataset(rows: usize) -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.csv");
    let mut csv = String::from("emotion,pixels\n");
    for (i, face) in drawn_faces(rows).iter().enumerate() {
        let pixels: Vec<String> = face.0.iter().map(u8::to_string).collect();
        csv += &format!("{},{}\n", i % 7, pixels.join(" "));
    }
    std::fs::write(&path, csv).unwrap();
    Dataset::collect(Reader::open(&path, false).unwrap(), None).unwrap()
}

/// Row i is answered with its own label, or, if `wrong`, with the next one, the surer the larger i.
fn predictions(data: &Dataset, wrong: impl Fn(usize) -> bool) -> Vec<(Emotion, Probabilities)> {
    (0..data.len())
        .map(|i| {
            let truth = data.labels[i];
            let mut logits = [0.0; 7];
            logits[(truth.index() + usize::from(wrong(i))) % 7] = 1.0 + i as f32 * 0.1;
            (truth, Probabilities::from_logits(&logits).unwrap())
        })
        .collect()
}

fn record(epoch: u32) -> EpochRecord {
    EpochRecord {
        epoch,
        learning_rate: 0.1,
        train_loss: 2.0 / f64::from(epoch),
        train_accuracy: 0.3,
        valid_accuracy: 0.4,
        valid_macro_f1: 0.3,
        valid_log_loss: 1.5,
        valid_ece: 0.05,
        seconds: 1.0,
        images_per_second: 1.0,
        best: true,
    }
}

/// The lightness of the rectangles that an image is made of, 0–255, the ground first.
fn rectangles(svg: &str) -> Vec<f32> {
    let fill = |element: &str| {
        let hex = element.split_once("fill=\"#").unwrap().1;
        let channel = |i: usize| f32::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    };
    svg.split("<rect ").skip(1).map(fill).collect()
}

#[test]
fn everything_is_drawn_and_the_page_holds_it_all() {
    let data = dataset(35);
    let predictions = predictions(&data, |i| i % 3 == 0);
    let report = score(&predictions);
    let manifest = manifest();
    let records = [record(1), record(2)];
    let subject = Subject {
        manifest: &manifest,
        data: &data,
        predictions: &predictions,
        uncalibrated: Some(&predictions),
        report: &report,
        records: &records,
        robustness: None,
    };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not/there/yet");
    let written = write(&subject, &folder).unwrap();
    assert_eq!(
        written,
        [
            "confusion.svg",
            "reliability.svg",
            "precision-recall.svg",
            "learning.svg",
            "mistakes.svg",
            "report.html"
        ]
    );
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert_eq!(page.matches("<svg ").count(), 5);
    assert!(page.contains("&lt;b&gt;m&lt;/b&gt;") && !page.contains("<b>"));
    for outside in ["http://", "https://", "<script", "src=\"/"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let confusion = std::fs::read_to_string(folder.join("confusion.svg")).unwrap();
    assert!(confusion.starts_with("<svg width=\"960\" height=\"700\""));
    // A dark diagonal on a light ground: the image is of these scores.
    let lightness = rectangles(&confusion);
    assert_eq!(lightness.len(), 1 + 49);
    let cell = |row: usize, column: usize| lightness[1 + 7 * row + column];
    assert!(
        cell(0, 0) < 150.0 && cell(0, 3) > 230.0,
        "{} {}",
        cell(0, 0),
        cell(0, 3)
    );
}

#[test]
fn the_surest_mistakes_come_first_and_none_is_no_sheet() {
    let data = dataset(21);
    let manifest = manifest();
    let subject_of = |predictions: &[(Emotion, Probabilities)]| {
        let report = score(predictions);
        let subject = Subject {
            manifest: &manifest,
            data: &data,
            predictions,
            uncalibrated: None,
            report: &report,
            records: &[],
            robustness: None,
        };
        let rows: Vec<usize> = mistakes::worst(&subject, 3).iter().map(|m| m.row).collect();
        (rows, mistakes::draw(&subject).unwrap())
    };
    let (rows, sheet) = subject_of(&predictions(&data, |i| i % 5 == 0));
    assert_eq!(rows, [20, 15, 10]);
    assert!(sheet.is_some());
    let (rows, sheet) = subject_of(&predictions(&data, |_| false));
    assert!(rows.is_empty() && sheet.is_none());
}
