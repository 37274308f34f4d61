//! The reliability diagram: how often the likeliest label is right, by its probability.

use plotters::style::Color;

use super::{
    Subject,
    axes::Axes,
    pen::{Align, BLUE, INK, Pen, SOFT, Type, VERMILION, picture},
};
use crate::{
    TrainError,
    evaluate::{Bin, Scores, reliability},
};

const TICKS: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

pub(super) fn draw(subject: &Subject<'_>) -> Result<Vec<u8>, TrainError> {
    picture(760, 800, |pen| diagram(pen, subject))
}

#[allow(clippy::cast_precision_loss)]
fn diagram(pen: &Pen<'_>, subject: &Subject<'_>) -> Result<(), TrainError> {
    let bins = reliability(subject.predictions);
    let upper = Axes {
        across: (96.0, 730.0),
        down: (76.0, 560.0),
        x: (0.0, 1.0),
        y: (0.0, 1.0),
    };
    let lower = Axes {
        down: (590.0, 720.0),
        y: (0.0, largest_share(&bins)),
        ..upper
    };
    let percent = |v: f64| format!("{:.0} %", 100.0 * v);
    let nothing = |_: f64| String::new();
    let title = format!(
        "Reliability: expected calibration error {:.3}",
        subject.scores.ece
    );
    pen.text(&title, (96.0, 28.0), Type::new(22.0, INK, Align::Left).bold())?;
    upper.draw(pen, (&TICKS, &TICKS), (&nothing, &percent), 16.0)?;
    let top = lower.y.1;
    lower.draw(pen, (&TICKS, &[0.0, top / 2.0, top]), (&percent, &percent), 16.0)?;
    let rows: u64 = bins.iter().map(|b| b.rows).sum();
    let width = 1.0 / bins.len() as f64;
    for (i, bin) in bins.iter().enumerate().filter(|(_, b)| b.rows > 0) {
        let (from, to) = (i as f64 * width, (i + 1) as f64 * width);
        let right = bin.right as f64 / bin.rows as f64;
        let inset = |(a, b): ((f64, f64), (f64, f64))| ((a.0 + 1.5, a.1), (b.0 - 1.5, b.1));
        let (a, b) = inset((upper.at(from, right), upper.at(to, 0.0)));
        pen.fill(a, b, BLUE.mix(0.75))?;
        let (a, b) = inset((lower.at(from, bin.rows as f64 / rows as f64), lower.at(to, 0.0)));
        pen.fill(a, b, SOFT.mix(0.55))?;
    }
    pen.dashes(upper.at(0.0, 0.0), upper.at(1.0, 1.0), 1.5, INK)?;
    if let Some(untempered) = subject.untempered {
        let points: Vec<_> = reliability(untempered)
            .iter()
            .filter(|b| b.rows > 0)
            .map(|b| {
                let n = b.rows as f64;
                upper.at(b.confidence / n, b.right as f64 / n)
            })
            .collect();
        pen.line(&points, 1.5, VERMILION)?;
        for point in points {
            pen.dot(point, 4.0, VERMILION)?;
        }
    }
    legend(pen, subject)?;
    let soft = Type::new(16.0, SOFT, Align::Centre);
    let middle = f64::midpoint(upper.across.0, upper.across.1);
    pen.text("probability of the likeliest label", (middle, 772.0), soft)?;
    pen.text_up("right", (26.0, f64::midpoint(upper.down.0, upper.down.1)), soft)?;
    pen.text_up("rows", (26.0, f64::midpoint(lower.down.0, lower.down.1)), soft)
}

fn legend(pen: &Pen<'_>, subject: &Subject<'_>) -> Result<(), TrainError> {
    let how = Type::new(16.0, INK, Align::Left);
    let (x, mut y) = (116.0, 100.0);
    pen.fill((x, y - 7.0), (x + 26.0, y + 7.0), BLUE.mix(0.75))?;
    let temperature = subject.manifest.temperature();
    let answers = match subject.untempered {
        Some(_) => format!("as answered (temperature {temperature:.3})"),
        None => "as answered".to_owned(),
    };
    pen.text(&answers, (x + 36.0, y), how)?;
    if let Some(rows) = subject.untempered {
        y += 27.0;
        pen.line(&[(x, y), (x + 26.0, y)], 1.5, VERMILION)?;
        pen.dot((x + 13.0, y), 4.0, VERMILION)?;
        let before = Scores::from_predictions(rows.iter().copied()).ece;
        pen.text(
            &format!("without temperature (error {before:.3})"),
            (x + 36.0, y),
            how,
        )?;
    }
    y += 27.0;
    pen.dashes((x, y), (x + 26.0, y), 1.5, INK)?;
    pen.text("a probability that means what it says", (x + 36.0, y), how)
}

/// The top of the lower frame: the largest share of a bin, up to the next 10 %.
#[allow(clippy::cast_precision_loss)]
fn largest_share(bins: &[Bin]) -> f64 {
    let rows: u64 = bins.iter().map(|b| b.rows).sum();
    let most = bins.iter().map(|b| b.rows).max().unwrap_or(0);
    ((10.0 * most as f64 / rows.max(1) as f64).ceil() / 10.0).clamp(0.1, 1.0)
}
