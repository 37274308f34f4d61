//! Panics, cancelled jobs, and the number of queued ones.

use std::time::Duration;

use super::*;

fn pool() -> DecodePool {
    DecodePool::start(
        "fer-decode",
        NonZeroUsize::MIN,
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
        let panicked = pool.run(0, later(), || -> u8 { panic!("a decoder's bug") }).await;
        assert_eq!(panicked, Err(PoolError("a decoder's bug".to_owned())));
    }
    assert_eq!(pool.run(0, later(), || 7).await, Ok(7));
}

#[tokio::test]
async fn a_cancelled_job_never_runs() {
    use std::sync::mpsc::channel;
    let pool = Arc::new(pool());
    let (open, gate) = channel::<()>();
    let (began, begun) = oneshot::channel();
    let busy = {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            pool.run(0, later(), move || {
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
        let mut leaves = Box::pin(pool.run(0, deadline, move || tell.send(())));
        // One poll hands the work to the thread's queue, behind the busy one.
        tokio::select! { biased; _ = &mut leaves => unreachable!(), () = std::future::ready(()) => {} }
        drop(leaves);
    }
    drop(tell);
    open.send(()).unwrap();
    busy.await.unwrap().unwrap().unwrap();
    pool.run(0, later(), || ()).await.unwrap();
    assert!(told.recv().is_err(), "a cancelled job ran");
    let text = pool.metrics.render().unwrap();
    for reason in ["client_gone", "deadline"] {
        let counted = format!("fer_rejected_total{{reason=\"{reason}\"}} 1\n");
        assert!(text.contains(&counted), "{counted}{text}");
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
    use std::sync::mpsc::channel;
    for (bytes, queued) in [(2_000, UNITS_PER_THREAD), (10 << 20, 2)] {
        let pool = pool();
        let (open, gate) = channel::<()>();
        let gate = Arc::new(parking_lot::Mutex::new(gate));
        let mut waiting: Vec<_> = (0..=queued)
            .map(|_| {
                let gate = Arc::clone(&gate);
                Box::pin(pool.run(bytes, later(), move || gate.lock().recv()))
            })
            .collect();
        for future in &mut waiting {
            tokio::select! { biased; _ = future => unreachable!(), () = std::future::ready(()) => {} }
        }
        assert_eq!(pool.units.available_permits(), 0);
        let begun = queued as usize - pool.jobs.len();
        assert!(begun <= 1, "{begun} of {queued} have left the queue");
        drop(open);
        for future in waiting {
            future.await.unwrap().unwrap_err();
        }
    }
}
