//! Panics, cancelled jobs, and the number of queued ones.

use std::{sync::mpsc::channel, time::Duration};

use fer_image::{
    Limits,
    helper::{Grant, Helpers, Outcome},
};

use super::*;

fn pool() -> DecodePool {
    DecodePool::start(
        "fer-decode",
        NonZeroUsize::MIN,
        || Decoder::start(Helpers::InProcess, 0, 0),
        Arc::new(Metrics::new([]).unwrap()),
    )
    .unwrap()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_no_thread() {
    let pool = pool();
    for _ in 0..5 {
        let panicked = pool
            .compute(0, later(), || -> u8 { panic!("a parser's bug") })
            .await;
        assert!(panicked.is_err());
    }
    assert_eq!(pool.compute(0, later(), || 7).await, Ok(7));
}

#[tokio::test]
async fn a_cancelled_job_never_runs() {
    let pool = Arc::new(pool());
    let (open, gate) = channel::<()>();
    let (began, begun) = oneshot::channel();
    let busy = {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            pool.compute(0, later(), move || {
                let _ = began.send(());
                gate.recv()
            })
            .await
        })
    };
    begun.await.unwrap();
    let (tell, told) = channel();
    for deadline in [later(), Instant::now()] {
        let tell = tell.clone();
        let mut leaves = Box::pin(pool.compute(0, deadline, move || tell.send(())));
        // One poll hands the work to the thread's queue, behind the busy one.
        tokio::select! { biased; _ = &mut leaves => unreachable!(), () = std::future::ready(()) => {} }
        drop(leaves);
    }
    drop(tell);
    open.send(()).unwrap();
    busy.await.unwrap().unwrap().unwrap();
    pool.compute(0, later(), || ()).await.unwrap();
    assert!(told.recv().is_err(), "a cancelled job ran");
    let text = pool.metrics.render().unwrap();
    for reason in ["client_gone", "deadline"] {
        let counted = format!("fer_rejected_total{{reason=\"{reason}\"}} 1\n");
        assert!(text.contains(&counted), "{counted}{text}");
    }
}

/// Images that wait together go to the decoder together, and each gets its own answer.
#[tokio::test]
async fn every_image_of_a_batch_gets_its_answer() {
    let pool = Arc::new(pool());
    let (open, gate) = channel::<()>();
    let (began, begun) = oneshot::channel();
    let busy = Arc::clone(&pool);
    let busy = tokio::spawn(async move {
        let wait = move || {
            let _ = began.send(());
            gate.recv()
        };
        busy.compute(0, later(), wait).await
    });
    begun.await.unwrap();
    let bounds = Bounds {
        limits: Limits::default(),
        grant: Grant::ALL,
        processor: Duration::from_secs(3600),
        deadline: later(),
    };
    let levels: Vec<u8> = (0..20).map(|n| n * 10).collect();
    let mut answers: Vec<_> = levels
        .iter()
        .map(|level| {
            // One image in four is broken, and one is not even base64.
            let image = match level % 40 {
                10 => EncodedImage::Raw(b"P5 2 2 255 ".to_vec().into()),
                20 => EncodedImage::Base64(b"?".to_vec().into()),
                _ => EncodedImage::Raw([&b"P5 1 1 255 "[..], &[*level]].concat().into()),
            };
            let gray = |decoded: Decoded| match decoded.map(|done| done.result) {
                Ok(Ok(Outcome::Face { face, .. })) => Some(face.0[0]),
                _ => None,
            };
            Box::pin(pool.decode(image, Work::Face, bounds, Duration::ZERO, gray))
        })
        .collect();
    for answer in &mut answers {
        tokio::select! { biased; _ = answer => unreachable!(), () = std::future::ready(()) => {} }
    }
    open.send(()).unwrap();
    busy.await.unwrap().unwrap().unwrap();
    for (level, answer) in levels.iter().zip(answers) {
        let good = !matches!(level % 40, 10 | 20);
        assert_eq!(answer.await.unwrap(), good.then_some(*level));
    }
}

#[test]
fn units_by_size() {
    for (bytes, units) in [
        (0, 1),
        (1, 1),
        (4096, 1),
        (4097, 2),
        (262_144, 64),
        (20 << 20, 64),
        (usize::MAX, 64),
    ] {
        assert_eq!(units_for(bytes), units, "{bytes}");
    }
}

/// Behind a thread that is held, that number of jobs is queued; the next waits for a permit.
#[tokio::test]
async fn many_small_jobs_or_two_large_ones_are_queued() {
    for (bytes, queued) in [(2_000, UNITS_PER_THREAD), (10 << 20, 2)] {
        let pool = pool();
        let (open, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut waiting: Vec<_> = (0..=queued)
            .map(|_| {
                let gate = Arc::clone(&gate);
                Box::pin(pool.compute(bytes, later(), move || gate.lock().recv()))
            })
            .collect();
        for future in &mut waiting {
            tokio::select! { biased; _ = future => unreachable!(), () = std::future::ready(()) => {} }
        }
        assert_eq!(pool.units.available_permits(), 0);
        let begun = queued as usize - pool.queue.len();
        assert!(begun <= 1, "{begun} of {queued} have left the queue");
        drop(open);
        for future in waiting {
            future.await.unwrap().unwrap_err();
        }
    }
}
