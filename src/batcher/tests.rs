//! The workers with fake engines. No test here waits for a time to pass: a gate holds an engine until the test opens it.

use std::{
    num::NonZeroUsize,
    sync::mpsc::{Receiver, Sender, channel},
};

use fer_engine::{Classifier, EngineError, Logits, emotion::CLASSES};
use fer_image::PIXELS;

use super::*;

/// What a fake engine does with a batch, by the first pixel of its first face.
const FAIL: u8 = 201;
const PANIC: u8 = 202;
const NAN: u8 = 203;
/// The gray that warm-up uses; it passes the gate.
const WARM_UP: u8 = 127;

struct Fake {
    gate: Option<Arc<Mutex<Receiver<()>>>>,
    batches: Sender<Vec<u8>>,
}

impl Classifier for Fake {
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError> {
        let seen: Vec<u8> = faces.iter().map(|f| f.0[0]).collect();
        if seen.first() == Some(&WARM_UP) {
            return Ok(vec![[0.0; CLASSES]; faces.len()]);
        }
        self.batches.send(seen.clone()).unwrap();
        if let Some(gate) = &self.gate {
            gate.lock().recv().unwrap();
        }
        match seen.first() {
            Some(&FAIL) => {
                return Err(EngineError::Shape {
                    got: vec![3],
                    batch: faces.len(),
                });
            }
            Some(&PANIC) => panic!("made for the test"),
            _ => {}
        }
        Ok(seen
            .iter()
            .map(|&v| {
                let mut logits = [0.0; CLASSES];
                logits[usize::from(v) % CLASSES] = if v == NAN { f32::NAN } else { 5.0 };
                logits
            })
            .collect())
    }

    fn info(&self) -> EngineInfo {
        EngineInfo {
            engine: "fake",
            precision: "f32",
            device: "cpu".to_owned(),
        }
    }
}

struct Rig {
    batcher: Batcher,
    open: Sender<()>,
    batches: Receiver<Vec<u8>>,
    built: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

/// A batcher with one worker, batches up to 4 and a queue of 6; with `gated`, each batch waits for `open`.
fn rig(gated: bool) -> Rig {
    rig_of(gated, usize::MAX)
}

/// The same with at most that number of engines; further ones cannot be built.
fn rig_of(gated: bool, engines: usize) -> Rig {
    let metrics = Arc::new(Metrics::new([]).unwrap());
    let (open, gate) = channel();
    let (tell, batches) = channel();
    let gate = Arc::new(Mutex::new(gate));
    let built = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&built);
    let tell = Mutex::new(tell);
    let factory = move || -> Result<Box<dyn Classifier>, EngineError> {
        if count.fetch_add(1, Ordering::SeqCst) >= engines {
            return Err(EngineError::Shape {
                got: vec![1],
                batch: 1,
            });
        }
        Ok(Box::new(Fake {
            gate: gated.then(|| Arc::clone(&gate)),
            batches: tell.lock().clone(),
        }))
    };
    let options = BatcherOptions {
        workers: NonZeroUsize::MIN,
        policy: Policy {
            max_batch: NonZeroUsize::new(4).unwrap(),
            linger: Duration::ZERO,
        },
        queue: 6,
    };
    let batcher = Batcher::start(&(Arc::new(factory) as Arc<EngineFactory>), options, &metrics).unwrap();
    Rig {
        batcher,
        open,
        batches,
        built,
        metrics,
    }
}

fn face(v: u8) -> Face {
    Face([v; PIXELS])
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render().unwrap();
    let line = text
        .lines()
        .find(|l| l.starts_with(series))
        .unwrap_or_else(|| panic!("no {series}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_batch_is_what_queued_while_the_model_was_busy() {
    let rig = rig(true);
    let first = rig.batcher.submit(face(1), far()).unwrap();
    assert_eq!(rig.batches.recv().unwrap(), [1]);
    let rest: Vec<_> = (2..8)
        .map(|v| rig.batcher.submit(face(v), far()).unwrap())
        .collect();
    assert_eq!(metric(&rig.metrics, "fer_queue_depth"), 6);
    assert!(matches!(
        rig.batcher.submit(face(9), far()),
        Err(BatcherError::QueueFull)
    ));
    for _ in 0..3 {
        rig.open.send(()).unwrap();
    }
    assert_eq!(rig.batches.recv().unwrap(), [2, 3, 4, 5]);
    assert_eq!(rig.batches.recv().unwrap(), [6, 7]);
    assert_eq!(first.answer.blocking_recv().unwrap().unwrap().batch, 1);
    for (v, answer) in (2..8).zip(rest) {
        let answer = answer.answer.blocking_recv().unwrap().unwrap();
        assert_eq!(
            answer.probabilities.top().0.index(),
            v % CLASSES,
            "answers keep their order"
        );
        assert_eq!(answer.batch, if v < 6 { 4 } else { 2 });
    }
    assert_eq!(metric(&rig.metrics, "fer_queue_depth"), 0);
    assert_eq!(metric(&rig.metrics, "fer_batch_size_count"), 3);
    assert_eq!(metric(&rig.metrics, "fer_batch_size_sum"), 7);
}

#[test]
fn cancelled_and_late_jobs_are_skipped_and_counted() {
    let rig = rig(true);
    let first = rig.batcher.submit(face(1), far()).unwrap();
    assert_eq!(rig.batches.recv().unwrap(), [1]);
    drop(rig.batcher.submit(face(2), far()).unwrap());
    let late = rig.batcher.submit(face(3), Instant::now()).unwrap();
    let live = rig.batcher.submit(face(4), far()).unwrap();
    rig.open.send(()).unwrap();
    rig.open.send(()).unwrap();
    first.answer.blocking_recv().unwrap().unwrap();
    assert_eq!(live.answer.blocking_recv().unwrap().unwrap().batch, 1);
    assert_eq!(late.answer.blocking_recv().unwrap(), Err(BatcherError::Deadline));
    assert_eq!(rig.batches.recv().unwrap(), [4]);
    assert_eq!(
        metric(&rig.metrics, r#"fer_rejected_total{reason="client_gone"}"#),
        1
    );
    assert_eq!(
        metric(&rig.metrics, r#"fer_rejected_total{reason="deadline"}"#),
        1
    );
}

#[test]
fn an_error_is_for_its_batch_only() {
    let rig = rig(false);
    let bad = rig
        .batcher
        .submit(face(FAIL), far())
        .unwrap()
        .answer
        .blocking_recv()
        .unwrap();
    assert!(matches!(bad, Err(BatcherError::Engine(_))), "{bad:?}");
    let nan = rig
        .batcher
        .submit(face(NAN), far())
        .unwrap()
        .answer
        .blocking_recv()
        .unwrap();
    assert!(matches!(nan, Err(BatcherError::Engine(_))), "{nan:?}");
    rig.batcher
        .submit(face(3), far())
        .unwrap()
        .answer
        .blocking_recv()
        .unwrap()
        .unwrap();
    assert_eq!(rig.built.load(Ordering::SeqCst), 1);
    assert_eq!(
        metric(&rig.metrics, r#"fer_engine_failures_total{kind="error"}"#),
        1
    );
}

#[test]
fn an_engine_that_keeps_failing_is_rebuilt() {
    let rig = rig(false);
    let ask = |v| {
        let answer = rig.batcher.submit(face(v), far()).unwrap().answer;
        answer.blocking_recv().unwrap()
    };
    // An answer in between starts the count again.
    for (v, times) in [(FAIL, 15), (3, 1), (FAIL, 15), (3, 1)] {
        for _ in 0..times {
            assert_eq!(ask(v).is_ok(), v != FAIL);
        }
        assert_eq!(rig.built.load(Ordering::SeqCst), 1);
    }
    for _ in 0..16 {
        ask(FAIL).unwrap_err();
    }
    ask(3).unwrap();
    assert_eq!(rig.built.load(Ordering::SeqCst), 2);
    assert!(rig.batcher.healthy());
}

#[test]
fn after_a_panic_the_engine_is_rebuilt() {
    let rig = rig(false);
    let bad = rig
        .batcher
        .submit(face(PANIC), far())
        .unwrap()
        .answer
        .blocking_recv()
        .unwrap();
    assert_eq!(
        bad,
        Err(BatcherError::Engine("panicked: made for the test".to_owned()))
    );
    rig.batcher
        .submit(face(3), far())
        .unwrap()
        .answer
        .blocking_recv()
        .unwrap()
        .unwrap();
    assert_eq!(rig.built.load(Ordering::SeqCst), 2);
    assert!(rig.batcher.healthy());
    assert_eq!(
        metric(&rig.metrics, r#"fer_engine_failures_total{kind="panic"}"#),
        1
    );
}

#[test]
fn jobs_left_without_an_engine_leave_the_queue() {
    let rig = rig_of(true, 1);
    let bad = rig.batcher.submit(face(PANIC), far()).unwrap();
    rig.batches.recv().unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| rig.batcher.submit(face(1), far()).unwrap())
        .collect();
    rig.open.send(()).unwrap();
    bad.answer.blocking_recv().unwrap().unwrap_err();
    rig.batcher.shutdown();
    assert_eq!(metric(&rig.metrics, "fer_queue_depth"), 2);
    drop(rig.batcher);
    assert_eq!(metric(&rig.metrics, "fer_queue_depth"), 0);
    for answer in waiting {
        assert!(answer.answer.blocking_recv().is_err(), "there was no engine");
    }
}

#[test]
fn shutting_down_finishes_the_queued_jobs() {
    let rig = rig(true);
    let answers: Vec<_> = (1..4)
        .map(|v| rig.batcher.submit(face(v), far()).unwrap())
        .collect();
    for _ in 0..3 {
        rig.open.send(()).unwrap();
    }
    rig.batcher.shutdown();
    for answer in answers {
        answer.answer.blocking_recv().unwrap().unwrap();
    }
    assert!(matches!(
        rig.batcher.submit(face(1), far()),
        Err(BatcherError::Closed)
    ));
    assert!(!rig.batcher.healthy());
}

#[test]
fn a_factory_that_fails_or_panics_fails_the_start() {
    let options = BatcherOptions {
        workers: NonZeroUsize::new(2).unwrap(),
        policy: Policy {
            max_batch: NonZeroUsize::MIN,
            linger: Duration::ZERO,
        },
        queue: 1,
    };
    let metrics = Arc::new(Metrics::new([]).unwrap());
    let fails = || -> Result<Box<dyn Classifier>, EngineError> {
        Err(EngineError::Shape {
            got: vec![1],
            batch: 1,
        })
    };
    let error = Batcher::start(&(Arc::new(fails) as Arc<EngineFactory>), options, &metrics).unwrap_err();
    assert!(
        matches!(error, StartError::Engine(EngineError::Shape { .. })),
        "{error}"
    );
    let panics = || -> Result<Box<dyn Classifier>, EngineError> { panic!("no engine") };
    let error = Batcher::start(&(Arc::new(panics) as Arc<EngineFactory>), options, &metrics).unwrap_err();
    assert!(error.to_string().contains("no engine"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_wait() {
    let rig = rig(true);
    let first = rig
        .batcher
        .submit(face(1), Instant::now() + Duration::from_secs(5))
        .unwrap()
        .answer()
        .await;
    assert_eq!(first, Err(BatcherError::Deadline));
    rig.open.send(()).unwrap();
}
