//! The temperature that fits held-out rows: the one with the least log-loss.

use super::{LabelledLogits, predictions, scores::score};
use crate::{TrainError, output::say};
use fer_engine::{
    BeforeAfter, TemperatureFit, apply_temperature,
    emotion::{Emotion, Probabilities},
    folder::{Kept, Scores},
};

/// Fewer rows say nothing reliable about a temperature.
pub(crate) const LEAST_ROWS: usize = 100;
const RANGE: (f64, f64) = (0.1, 10.0);
/// Width of ln T at which the search ends.
const PRECISION: f64 = 1e-6;

/// Fits the temperature on held-out rows and reports what it does there. `None` if there are fewer rows than
/// [`LEAST_ROWS`].
pub(crate) fn fit(rows: &LabelledLogits) -> Result<Option<Kept<TemperatureFit>>, TrainError> {
    if rows.len() < LEAST_ROWS {
        say(&format!(
            "probabilities are not calibrated: {} rows are too few, at least {LEAST_ROWS} are needed",
            rows.len()
        ));
        return Ok(None);
    }
    // Also refuses logits that are not finite, so that the search is among numbers.
    let before = scores(rows, 1.0)?;
    let temperature = search(rows);
    let after = scores(rows, temperature)?;
    let ece_two_halves = two_halves(rows)?;
    let both = |value: fn(&Scores) -> f64| BeforeAfter {
        before: value(&before),
        after: value(&after),
    };
    let (log_loss, ece) = (both(|s| s.log_loss), both(|s| s.ece));
    say(&format!(
        "temperature {temperature:.4}: ECE {:.4} before, {:.4} after, {ece_two_halves:.4} with half of the rows fitted \
         and the other half measured",
        ece.before, ece.after
    ));
    let fit = TemperatureFit {
        temperature,
        rows: Some(rows.len() as u64),
        log_loss: Some(log_loss.into()),
        ece: Some(ece.into()),
        ece_two_halves: Some(ece_two_halves),
    };
    Ok(Some(fit.into()))
}

fn scores(rows: &LabelledLogits, temperature: f64) -> Result<Scores, TrainError> {
    Ok(score(&at_temperature(rows, temperature)?).scores)
}

/// The rows' probabilities at a temperature.
pub(crate) fn at_temperature(
    rows: &LabelledLogits,
    temperature: f64,
) -> Result<Vec<(Emotion, Probabilities)>, TrainError> {
    let divided = apply_temperature(rows.iter().map(|r| r.1).collect(), temperature);
    predictions(&rows.iter().map(|r| r.0).zip(divided).collect::<Vec<_>>())
}

/// Every second row against the others, both ways round.
fn two_halves(rows: &LabelledLogits) -> Result<f64, TrainError> {
    let half = |odd: usize| -> Vec<_> { rows.iter().skip(odd).step_by(2).copied().collect() };
    let (even, odd) = (half(0), half(1));
    let mut together = at_temperature(&even, search(&odd))?;
    together.extend(at_temperature(&odd, search(&even))?);
    Ok(score(&together).scores.ece)
}

/// Golden-section search over ln T. The log-loss is convex in 1/T, so it falls and then rises over ln T, and the
/// search cannot end in a false minimum; where it only falls or rises, it ends at an end of [`RANGE`].
fn search(rows: &LabelledLogits) -> f64 {
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    let at = |ln: f64| log_loss(rows, ln.exp());
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (at(left), at(right));
    while high - low > PRECISION {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = at(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = at(right);
        }
    }
    f64::midpoint(low, high).exp()
}

/// Sum of −ln p(true label), in double and without a bound on p, so that it stays smooth.
fn log_loss(rows: &LabelledLogits, temperature: f64) -> f64 {
    rows.iter()
        .map(|(truth, logits)| {
            let scaled = logits.map(|x| f64::from(x) / temperature);
            let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scaled.iter().map(|x| (x - most).exp()).sum();
            most + sum.ln() - scaled[truth.index()]
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use fer_engine::{Logits, emotion::CLASSES};

    /// Rows whose label is drawn from the softmax of logits, which are then multiplied by `factor`: the temperature
    /// that fits is `factor`.
    fn drawn(count: usize, factor: f32) -> Vec<(Emotion, Logits)> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        (0..count)
            .map(|_| {
                let logits: Logits = std::array::from_fn(|_| rng.random_range(-2.0f32..2.0));
                let p = Probabilities::from_logits(&logits).unwrap();
                let mut left: f32 = rng.random();
                let drawn = p.values().iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                let truth = Emotion::ALL[drawn.unwrap_or(CLASSES - 1)];
                (truth, logits.map(|x| x * factor))
            })
            .collect()
    }

    #[test]
    fn two_logits_have_a_known_answer() {
        // Logits (1, 0, −∞ …): p(first) is the logistic of 1/T. With three of four rows right, the log-loss is least
        // where that is ¾, at T = 1/ln 3.
        let logits = [1.0, 0.0, -1e6, -1e6, -1e6, -1e6, -1e6];
        let rows: Vec<_> = (0..LEAST_ROWS)
            .map(|i| (Emotion::ALL[usize::from(i % 4 == 0)], logits))
            .collect();
        let fitted = fit(&rows).unwrap().unwrap();
        assert!(
            (fitted.temperature - 1.0 / 3f64.ln()).abs() < 1e-5,
            "{}",
            fitted.temperature
        );
        assert!(fitted.ece.as_ref().unwrap().after < 1e-4);
    }

    #[test]
    fn what_logits_were_multiplied_by_is_found() {
        for factor in [0.5, 1.0, 3.0] {
            let fitted = fit(&drawn(20_000, factor)).unwrap().unwrap();
            let wanted = f64::from(factor);
            assert!(
                (fitted.temperature / wanted - 1.0).abs() < 0.03,
                "{} for {wanted}",
                fitted.temperature
            );
            let loss = fitted.log_loss.as_ref().unwrap();
            assert!(loss.after <= loss.before + 1e-9);
            assert!(fitted.ece.as_ref().unwrap().after < 0.015 && fitted.ece_two_halves.unwrap() < 0.015);
        }
    }

    #[test]
    fn the_ends_hold_and_few_rows_are_not_enough() {
        let mut logits = [0.0; CLASSES];
        logits[0] = 5.0;
        let all = |truth| vec![(truth, logits); LEAST_ROWS];
        // Always right: never too sure. Always wrong: never unsure enough.
        let least = fit(&all(Emotion::Angry)).unwrap().unwrap().temperature;
        let most = fit(&all(Emotion::Sad)).unwrap().unwrap().temperature;
        assert!((RANGE.0..0.2).contains(&least), "{least}");
        assert!((9.9..=RANGE.1).contains(&most), "{most}");
        assert_eq!(fit(&all(Emotion::Sad)[1..]).unwrap(), None);
        logits[3] = f32::NAN;
        assert!(fit(&vec![(Emotion::Sad, logits); LEAST_ROWS]).is_err());
    }
}
