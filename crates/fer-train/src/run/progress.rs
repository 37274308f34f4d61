//! Shows a run: a progress bar, or plain lines where there is no terminal.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{checkpoint::Sums, history::EpochRecord};
use crate::output::say;

/// Time between plain lines where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    epochs: u32,
    steps: usize,
    batch: usize,
    epoch: u32,
    done: usize,
    first: usize,
    started: Instant,
    written: Instant,
}

impl Progress {
    /// For a run of `epochs` epochs of `steps` steps of `batch` rows.
    pub(crate) fn new(epochs: u32, steps: usize, batch: usize) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some((steps * batch) as u64), ProgressDrawTarget::stderr());
            let template = "{prefix} {bar:30} {pos}/{len} images  {per_sec}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            epochs,
            steps,
            batch,
            epoch: 0,
            done: 0,
            first: 0,
            started: now,
            written: now,
        }
    }

    /// An epoch begins, or goes on after `done` steps.
    pub(crate) fn start(&mut self, epoch: u32, done: usize) {
        self.epoch = epoch;
        self.done = done;
        self.first = done;
        self.started = Instant::now();
        self.written = self.started;
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            bar.set_position((done * self.batch) as u64);
            bar.reset_elapsed();
        }
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn step(&mut self, sums: &Sums) {
        self.done += 1;
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = ((self.done - self.first) * self.batch) as f64 / seconds.max(1e-9);
        let to_go = (self.steps - self.done + (self.epochs - self.epoch) as usize * self.steps) * self.batch;
        let left = HumanDuration(Duration::from_secs_f64(to_go as f64 / rate.max(1e-9)));
        let (loss, accuracy) = (sums.mean_loss(), sums.accuracy());
        let message = format!("loss {loss:.3}  accuracy {accuracy:.3}  {left} left");
        if let Some(bar) = &self.bar {
            bar.set_position((self.done * self.batch) as u64);
            bar.set_message(message);
        } else if self.written.elapsed() >= PLAIN_EVERY {
            self.written = Instant::now();
            let (epoch, epochs, at, of) = (self.epoch, self.epochs, self.done, self.steps);
            say(&format!(
                "epoch {epoch}/{epochs}  step {at}/{of}  {rate:.0} images/s  {message}"
            ));
        }
    }

    pub(crate) fn epoch(&self, r: &EpochRecord) {
        let mark = if r.best { "  best so far" } else { "" };
        let line = format!(
            "epoch {}/{}  {:.0} s  {:.0} images/s  loss {:.4}  accuracy {:.4}  |  validation accuracy {:.4}  macro-F1 {:.4}  log-loss {:.4}{mark}",
            r.epoch,
            self.epochs,
            r.seconds,
            r.images_per_second,
            r.train_loss,
            r.train_accuracy,
            r.valid_accuracy,
            r.valid_macro_f1,
            r.valid_log_loss
        );
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&line)),
            None => say(&line),
        }
    }
}
