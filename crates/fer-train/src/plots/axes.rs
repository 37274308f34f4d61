//! A frame with ticks, and where values lie in it.

use super::pen::{Align, GRID, INK, Pen, SOFT, Type};
use crate::TrainError;

/// A frame in pixels and the values at its edges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axes {
    /// Left and right edge, pixels.
    pub(super) across: (f64, f64),
    /// Upper and lower edge, pixels.
    pub(super) down: (f64, f64),
    /// Values at the left and the right edge.
    pub(super) x: (f64, f64),
    /// Values at the lower and the upper edge.
    pub(super) y: (f64, f64),
}

impl Axes {
    /// Where a point lies, kept inside the frame.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |value: f64, (from, to): (f64, f64)| ((value - from) / (to - from)).clamp(0.0, 1.0);
        (
            self.across.0 + share(x, self.x) * (self.across.1 - self.across.0),
            self.down.1 - share(y, self.y) * (self.down.1 - self.down.0),
        )
    }

    /// Grid, tick labels and frame: to be drawn before the data.
    pub(super) fn draw(
        &self,
        pen: &Pen<'_>,
        ticks: (&[f64], &[f64]),
        format: (&dyn Fn(f64) -> String, &dyn Fn(f64) -> String),
        size: f64,
    ) -> Result<(), TrainError> {
        for &x in ticks.0 {
            let (px, _) = self.at(x, self.y.0);
            pen.line(&[(px, self.down.0), (px, self.down.1)], 1.0, GRID)?;
            let below = (px, self.down.1 + size);
            pen.text(&format.0(x), below, Type::new(size, INK, Align::Centre))?;
        }
        for &y in ticks.1 {
            let (_, py) = self.at(self.x.0, y);
            pen.line(&[(self.across.0, py), (self.across.1, py)], 1.0, GRID)?;
            let beside = (self.across.0 - 0.5 * size, py);
            pen.text(&format.1(y), beside, Type::new(size, INK, Align::Right))?;
        }
        pen.frame((self.across.0, self.down.0), (self.across.1, self.down.1), SOFT)
    }

    /// What the axes show, below and on the left.
    pub(super) fn label(&self, pen: &Pen<'_>, x: &str, y: &str, size: f64) -> Result<(), TrainError> {
        let centre = |(a, b): (f64, f64)| f64::midpoint(a, b);
        let how = Type::new(size, SOFT, Align::Centre);
        pen.text(x, (centre(self.across), self.down.1 + 2.5 * size), how)?;
        pen.text_up(y, (self.across.0 - 3.4 * size, centre(self.down)), how)
    }

    /// A line over the frame.
    pub(super) fn title(&self, pen: &Pen<'_>, title: &str, size: f64) -> Result<(), TrainError> {
        let at = (self.across.0, self.down.0 - 0.9 * size);
        pen.text(title, at, Type::new(size, INK, Align::Left).bold())
    }
}
