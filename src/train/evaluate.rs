//! temporary
use crate::emotion::{Emotion, Probabilities};
#[derive(Debug,Clone,serde::Serialize)]
pub struct Scores { pub accuracy: f64, pub macro_f1: f64, pub log_loss: f64, pub ece: f64 }
impl Scores { pub fn from_predictions(p: impl IntoIterator<Item=(Emotion, Probabilities)>) -> Self {
    let (mut n, mut ok, mut ll) = (0.0, 0.0, 0.0);
    for (t, p) in p { n += 1.0; if p.top().0 == t { ok += 1.0 } ll -= f64::from(p.values()[t.index()]).max(1e-7).ln(); }
    Self { accuracy: ok / n, macro_f1: 0.0, log_loss: ll / n, ece: 0.0 }
} }

impl std::fmt::Display for Scores { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{:?}", self) } }
