//! One worker thread: builds its engine, takes batches by the policy, runs them, replies.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use fer_engine::{Classifier, EngineError, EngineInfo, Logits, emotion::Probabilities};
use fer_image::{Face, PIXELS};

use super::{
    policy::Action,
    shared::{BatcherError, Classified, Engine, EngineFactory, Queue, Reply, Shared, StartError},
    stuck::EngineWatch,
};
use crate::{observability::metrics::Rejected, panics};

/// Pause before an engine that could not be rebuilt is tried again; it doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// After this number of failed batches in a row the engine is rebuilt: a lost device fails every batch, and an engine
/// that cannot be rebuilt makes the server unready.
const MAX_FAILURES: u32 = 16;

/// Why an engine gave no answer for a batch. The texts are for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineFailure {
    #[error("{0}")]
    Error(String),
    /// The state of the engine is unknown afterwards.
    #[error("panicked: {0}")]
    Panic(String),
}

/// Runs one batch and contains a panic of the engine. The result has one entry for each face.
pub(crate) fn run_engine(engine: &mut dyn Classifier, faces: &[Face]) -> Result<Vec<Logits>, EngineFailure> {
    match panics::catch(|| engine.classify(faces)) {
        Ok(Ok(logits)) if logits.len() == faces.len() => Ok(logits),
        Ok(Ok(logits)) => Err(EngineFailure::Error(format!(
            "{} answers for {} faces",
            logits.len(),
            faces.len()
        ))),
        Ok(Err(error)) => Err(EngineFailure::Error(error.to_string())),
        Err(panic) => Err(EngineFailure::Panic(panic)),
    }
}

/// The faces of a batch, and where their answers go.
#[derive(Default)]
struct Batch {
    faces: Vec<Face>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    reply: Reply,
    queued: Instant,
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Arc<EngineWatch>,
    pub(super) factory: Arc<EngineFactory>,
}

impl Worker {
    /// Builds an engine, reports, and works until the queue is closed and empty.
    pub(super) fn run(self, report: mpsc::Sender<Result<EngineInfo, StartError>>) {
        let healthy = &self.shared.healthy;
        let mut engine = match self.build() {
            Ok(engine) => engine,
            Err(error) => {
                let _ = report.send(Err(error));
                return;
            }
        };
        healthy.fetch_add(1, Ordering::Relaxed);
        let _ = report.send(Ok(engine.info()));
        // `Batcher::start` waits until every sender is dropped.
        drop(report);
        let mut batch = Batch::default();
        let mut failures = 0;
        while self.take(&mut batch) {
            failures = match self.run_batch(&mut *engine, &mut batch) {
                Ok(()) => 0,
                Err(EngineFailure::Error(_)) => failures + 1,
                Err(EngineFailure::Panic(_)) => MAX_FAILURES,
            };
            if failures < MAX_FAILURES {
                continue;
            }
            failures = 0;
            healthy.fetch_sub(1, Ordering::Relaxed);
            drop(engine);
            let Some(rebuilt) = self.rebuild() else {
                return;
            };
            engine = rebuilt;
            healthy.fetch_add(1, Ordering::Relaxed);
        }
        healthy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Builds an engine and runs it at the batch sizes that matter, so that no request pays for lazy set-up.
    fn build(&self) -> Result<Engine, StartError> {
        let max = self.shared.options.policy.max_batch.get();
        let built = panics::catch(|| {
            let mut engine = (self.factory)()?;
            // TorchScript profiles on its first run and compiles on its second.
            for batch in [1, 1, 2, max] {
                engine.classify(&vec![Face([127; PIXELS]); batch])?;
            }
            Ok::<_, EngineError>(engine)
        });
        built.map_err(StartError::Panic)?.map_err(StartError::Engine)
    }

    /// Rebuilds the engine, trying again until it works; `None` if the queue was closed meanwhile.
    fn rebuild(&self) -> Option<Engine> {
        let shared = &self.shared;
        let mut pause = RETRY_FIRST;
        loop {
            let error = match self.watch.time(|| self.build()) {
                Ok(engine) => return Some(engine),
                Err(error) => error.to_string(),
            };
            shared
                .metrics
                .engine_failures
                .with_label_values(&["rebuild"])
                .inc();
            tracing::error!(error, retry_in = ?pause, "the engine could not be rebuilt");
            let until = Instant::now() + pause;
            let mut queue = shared.queue.lock();
            while Instant::now() < until {
                if queue.closed {
                    return None;
                }
                shared.wake.wait_until(&mut queue, until);
                // This worker cannot use the notification it may have consumed: pass it on.
                if !queue.jobs.is_empty() && queue.idle > 0 {
                    shared.wake.notify_one();
                }
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Waits for jobs and moves a batch of them out of the queue; false when the queue is closed and empty.
    fn take(&self, batch: &mut Batch) -> bool {
        let shared = &self.shared;
        let mut queue = shared.queue.lock();
        queue.idle += 1;
        loop {
            let oldest = queue.jobs.front();
            let oldest = oldest.map_or(Duration::ZERO, |job| job.queued.elapsed());
            let action = shared.options.policy.decide(queue.jobs.len(), oldest, queue.idle);
            let faces = match action {
                Action::Sleep if queue.closed => {
                    queue.idle -= 1;
                    return false;
                }
                Action::Sleep => {
                    shared.wake.wait(&mut queue);
                    continue;
                }
                Action::Linger(left) if !queue.closed => {
                    shared.wake.wait_for(&mut queue, left);
                    continue;
                }
                // No further face can come to fill the batch.
                Action::Linger(_) => queue.jobs.len(),
                Action::Take(faces) => faces,
            };
            self.fill(batch, faces, &mut queue);
            // Empty if every job was cancelled or late: then look again.
            if !batch.faces.is_empty() {
                queue.idle -= 1;
                if !queue.jobs.is_empty() {
                    shared.wake.notify_one();
                }
                return true;
            }
        }
    }

    /// Moves that number of jobs into the batch. Jobs whose client disconnected or whose deadline passed are skipped and
    /// counted.
    fn fill(&self, batch: &mut Batch, faces: usize, queue: &mut Queue) {
        let metrics = &self.shared.metrics;
        let now = Instant::now();
        while batch.faces.len() < faces {
            let Some(job) = queue.jobs.pop_front() else { break };
            metrics.queue_depth.dec();
            // The deadline is checked first: its passing also drops the receiver, which is not a disconnected client.
            if job.deadline <= now {
                metrics.reject(Rejected::Deadline);
                let _ = job.reply.send(Err(BatcherError::Deadline));
            } else if job.reply.is_closed() {
                metrics.reject(Rejected::ClientGone);
            } else {
                batch.faces.push(job.face);
                batch.waiting.push(Waiting {
                    reply: job.reply,
                    queued: job.queued,
                });
            }
        }
    }

    /// Runs the batch, replies to each of its jobs and empties it.
    fn run_batch(&self, engine: &mut dyn Classifier, batch: &mut Batch) -> Result<(), EngineFailure> {
        let metrics = &self.shared.metrics;
        let size = batch.faces.len();
        let began = Instant::now();
        let result = self.watch.time(|| run_engine(engine, &batch.faces));
        let infer = began.elapsed();
        metrics.inference.observe(infer.as_secs_f64());
        #[allow(clippy::cast_precision_loss)]
        metrics.batch_size.observe(size as f64);
        batch.faces.clear();

        let waiting = batch.waiting.drain(..);
        match result {
            Ok(logits) => {
                for (Waiting { reply, queued }, logits) in waiting.zip(&logits) {
                    let queue = began.saturating_duration_since(queued);
                    metrics.queue.observe(queue.as_secs_f64());
                    let answer = Probabilities::from_logits(logits)
                        .map_err(|e| BatcherError::Engine(e.to_string()))
                        .inspect(|probabilities| metrics.predicted(probabilities.top().0))
                        .map(|probabilities| Classified {
                            probabilities,
                            queue,
                            infer,
                            batch: size,
                        });
                    // Fails if the client disconnected meanwhile: there is nothing left to do then.
                    let _ = reply.send(answer);
                }
                Ok(())
            }
            Err(failure) => {
                let kind = match failure {
                    EngineFailure::Error(_) => "error",
                    EngineFailure::Panic(_) => "panic",
                };
                metrics.engine_failures.with_label_values(&[kind]).inc();
                let text = failure.to_string();
                tracing::error!(error = text, batch = size, "the engine failed on a batch");
                for Waiting { reply, .. } in waiting {
                    let _ = reply.send(Err(BatcherError::Engine(text.clone())));
                }
                Err(failure)
            }
        }
    }
}
