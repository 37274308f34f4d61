//! One worker thread: takes batches by the policy, runs them, answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Classified, ClassifyError, Factory, Shared, StartError, Step, watch::Watch};
use crate::{
    emotion::Probabilities,
    engine::{Classifier, EngineError, EngineInfo, Logits},
    image::{Face, PIXELS},
    metrics::Rejected,
};

/// First pause before an engine that could not be rebuilt is tried again; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

type Reply = oneshot::Sender<Result<Classified, ClassifyError>>;
type Engine = Box<dyn Classifier>;

/// What remains of a job once its face is in the batch.
struct Waiting {
    reply: Reply,
    queued: Instant,
}

/// Worker `n`: builds an engine, reports, and works until the queue is shut and empty.
pub(super) fn run(
    shared: &Shared,
    n: usize,
    factory: &Factory,
    report: mpsc::Sender<Result<EngineInfo, StartError>>,
) {
    // There is one for every worker; a worker without one would only not be watched.
    let unwatched = Watch::default();
    let watch = shared.watches.get(n).unwrap_or(&unwatched);
    let mut engine = match build(shared, factory) {
        Ok(Ok(engine)) => {
            shared.healthy.fetch_add(1, Ordering::Relaxed);
            let _ = report.send(Ok(engine.info()));
            engine
        }
        Ok(Err(error)) => {
            let _ = report.send(Err(StartError::Engine(error)));
            return;
        }
        Err(panic) => {
            let _ = report.send(Err(StartError::Panic(panic)));
            return;
        }
    };
    // The start waits until every worker has let go of its end.
    drop(report);
    let (mut faces, mut waiting) = (Vec::new(), Vec::new());
    let mut failed = 0;
    while take(shared, &mut faces, &mut waiting) {
        let outcome = run_batch(shared, watch, &mut engine, &faces, waiting.drain(..));
        faces.clear();
        failed = match outcome {
            Outcome::Answered => 0,
            Outcome::Failed => failed + 1,
            // Its state is unknown.
            Outcome::Panicked => FAILURES,
        };
        if failed < FAILURES {
            continue;
        }
        failed = 0;
        shared.healthy.fetch_sub(1, Ordering::Relaxed);
        drop(engine);
        let Some(rebuilt) = rebuild(shared, watch, factory) else {
            return;
        };
        engine = rebuilt;
        shared.healthy.fetch_add(1, Ordering::Relaxed);
    }
    shared.healthy.fetch_sub(1, Ordering::Relaxed);
}

/// Builds an engine and runs it at the batch sizes that matter, so that no request pays for lazy set-up.
/// The outer error is a panic's text.
fn build(shared: &Shared, factory: &Factory) -> Result<Result<Engine, EngineError>, String> {
    let max = shared.layout.policy.max_batch.get();
    catch_unwind(AssertUnwindSafe(|| {
        let mut engine = factory()?;
        // TorchScript profiles on its first run and compiles on its second.
        for batch in [1, 1, 2, max] {
            engine.classify(&vec![Face([127; PIXELS]); batch])?;
        }
        Ok(engine)
    }))
    .map_err(|panic| panic_text(&*panic))
}

/// Builds the engine anew, as often as it takes; `None` if the queue was shut meanwhile.
fn rebuild(shared: &Shared, watch: &Watch, factory: &Factory) -> Option<Engine> {
    let mut pause = RETRY_FIRST;
    loop {
        let inside = watch.enter();
        let built = build(shared, factory);
        drop(inside);
        let why = match built {
            Ok(Ok(engine)) => return Some(engine),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        shared
            .metrics
            .engine_failures
            .with_label_values(&["rebuild"])
            .inc();
        tracing::error!(error = why, retry_in = ?pause, "the engine could not be rebuilt");
        let until = Instant::now() + pause;
        let mut queue = shared.lock();
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
        {
            if queue.closed {
                return None;
            }
            queue = shared
                .wake
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            // This worker cannot use the wake-up it may have taken; pass it on.
            if !queue.jobs.is_empty() && queue.idle > 0 {
                shared.wake.notify_one();
            }
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Waits for work and takes a batch; false when the queue is shut and empty.
fn take(shared: &Shared, faces: &mut Vec<Face>, waiting: &mut Vec<Waiting>) -> bool {
    let mut queue = shared.lock();
    queue.idle += 1;
    loop {
        let oldest = queue
            .jobs
            .front()
            .map_or(Duration::ZERO, |job| job.queued.elapsed());
        match shared.layout.policy.decide(queue.jobs.len(), oldest, queue.idle) {
            Step::Sleep if queue.closed => {
                queue.idle -= 1;
                return false;
            }
            Step::Sleep => queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Step::Linger(left) if !queue.closed => {
                queue = shared
                    .wake
                    .wait_timeout(queue, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            step => {
                let want = if let Step::Take(n) = step {
                    n
                } else {
                    queue.jobs.len()
                };
                let now = Instant::now();
                while faces.len() < want.min(shared.layout.policy.max_batch.get()) {
                    let Some(job) = queue.jobs.pop_front() else { break };
                    shared.metrics.queue_depth.dec();
                    // The deadline first: who waited in vain until then has left, too.
                    if job.deadline <= now {
                        shared.metrics.reject(Rejected::Deadline);
                        let _ = job.reply.send(Err(ClassifyError::Deadline));
                    } else if job.reply.is_closed() {
                        shared.metrics.reject(Rejected::ClientGone);
                    } else {
                        faces.push(job.face);
                        waiting.push(Waiting {
                            reply: job.reply,
                            queued: job.queued,
                        });
                    }
                }
                if !faces.is_empty() {
                    queue.idle -= 1;
                    if !queue.jobs.is_empty() {
                        shared.wake.notify_one();
                    }
                    return true;
                }
            }
        }
    }
}

/// Batches in a row that fail before the engine is built anew: a device that is gone fails every one, and an engine
/// that cannot be built again makes the server unready.
const FAILURES: u32 = 16;

enum Outcome {
    Answered,
    Failed,
    Panicked,
}

fn run_batch(
    shared: &Shared,
    watch: &Watch,
    engine: &mut Engine,
    faces: &[Face],
    waiting: impl ExactSizeIterator<Item = Waiting>,
) -> Outcome {
    let metrics = &shared.metrics;
    let began = Instant::now();
    let inside = watch.enter();
    let classified = catch_unwind(AssertUnwindSafe(|| engine.classify(faces)));
    drop(inside);
    let infer = began.elapsed();
    metrics.inference.observe(infer.as_secs_f64());
    #[allow(clippy::cast_precision_loss)]
    metrics.batch_size.observe(faces.len() as f64);

    let (outcome, result) = match classified {
        Ok(Ok(logits)) if logits.len() == faces.len() => (Outcome::Answered, Ok(logits)),
        Ok(Ok(logits)) => {
            metrics.engine_failures.with_label_values(&["error"]).inc();
            (
                Outcome::Failed,
                Err(format!("{} answers for {} faces", logits.len(), faces.len())),
            )
        }
        Ok(Err(error)) => {
            metrics.engine_failures.with_label_values(&["error"]).inc();
            (Outcome::Failed, Err(error.to_string()))
        }
        Err(panic) => {
            metrics.engine_failures.with_label_values(&["panic"]).inc();
            (
                Outcome::Panicked,
                Err(format!("panicked: {}", panic_text(&*panic))),
            )
        }
    };
    let batch = faces.len();
    match result {
        Ok(logits) => {
            for (Waiting { reply, queued }, logits) in waiting.zip(&logits) {
                let queue = began.saturating_duration_since(queued);
                metrics.queue.observe(queue.as_secs_f64());
                // If nobody is waiting any more, the work was in vain and nothing else is to be done.
                let _ = reply.send(answer(shared, logits, queue, infer, batch));
            }
        }
        Err(text) => {
            tracing::error!(error = text, batch, "the engine failed on a batch");
            for Waiting { reply, .. } in waiting {
                let _ = reply.send(Err(ClassifyError::Engine(text.clone())));
            }
        }
    }
    outcome
}

fn answer(
    shared: &Shared,
    logits: &Logits,
    queue: Duration,
    infer: Duration,
    batch: usize,
) -> Result<Classified, ClassifyError> {
    let probabilities =
        Probabilities::from_logits(logits).map_err(|e| ClassifyError::Engine(e.to_string()))?;
    shared.metrics.predicted(probabilities.top().0);
    Ok(Classified {
        probabilities,
        queue,
        infer,
        batch,
    })
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
