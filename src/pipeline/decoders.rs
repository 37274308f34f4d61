//! Which decoder an image goes to.
//!
//! ```text
//! light ──→ heavy  (large images) ──→ slow
//!       └─→ detect (photos)       ──┘
//! ```
//!
//! Every image goes to a light decoder first, which answers small images, and only reads the header of large images and of
//! photos. Those wait for a decoder of their own, in a line whose length is a time ([`Line`]), and for the memory that their
//! header asks for. An image that takes much longer than others like it is ended and begun again by the one slow decoder, so
//! that few of them delay nothing but each other.

use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use fer_image::{
    Limits,
    helper::{Bounds, Decoder, Done, Ended, Failure, Grant, Helpers, Needs, Outcome, Work},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    DecodeError, EncodedImage, PoolError, Session,
    decode_pool::{DecodePool, Decoded},
    error::DecodingError,
    estimate::Estimates,
    line::{Line, Place},
};
use crate::{
    config::{Config, DecoderPlace, LIGHT_MEMORY},
    observability::{
        metrics::{Metrics, Rejected},
        overload_log::OverloadLog,
    },
};

/// The largest image that a light decoder decodes: a megapixel.
const LIGHT_PIXELS: u64 = 1 << 20;
/// The least processor time that an image may take before another decoder must go on.
const LIGHT_TIME: Duration = Duration::from_millis(15);
const HEAVY_TIME: Duration = Duration::from_millis(100);
/// Processor time that each byte of a file is given besides.
const NANOS_PER_BYTE: u64 = 3;
/// How many times the expected processor time an image may take before it is called slow.
const SLOW: u32 = 8;
/// Nice values of the processes that decode large images, and slow ones: next to a small image, a large one gets a tenth
/// of a contended processor, and all of an idle one.
const HEAVY_NICE: u8 = 10;
const SLOW_NICE: u8 = 19;
/// In a line, an image that takes twice as long goes behind one that came this many times the difference later,
const SHORT_FIRST: u32 = 4;
/// and never behind one that came later than this.
const LONGEST_AFTER: Duration = Duration::from_secs(1);
/// The unit of the memory that is granted.
const UNIT: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Decoders {
    light: DecodePool,
    heavy: Lane,
    detect: Lane,
    slow: Lane,
    estimates: Estimates,
    /// Memory for all images but light ones, in units.
    memory: Arc<Semaphore>,
    most_memory: u64,
    limits: Limits,
    timeout: Duration,
    metrics: Arc<Metrics>,
    replaced: OverloadLog,
}

#[derive(Debug)]
struct Lane {
    pool: DecodePool,
    line: Line,
}

/// What a decoder made of an image.
enum Step<T> {
    Done(T),
    Heavy(Needs),
    /// It took more processor time than this decoder gives.
    Slow,
}

impl Decoders {
    /// Starts all decoders.
    pub(super) fn start(config: &Config, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let most_memory = config.decode_memory();
        let helpers = choose(config.decoders, most_memory)?;
        let pool = |name: &str, threads: NonZeroUsize, nice: u8| {
            let decoder = move || Decoder::start(helpers, most_memory, nice);
            DecodePool::start(name, threads, decoder, Arc::clone(metrics))
        };
        let lane = |name: &str, threads: NonZeroUsize, nice: u8, patient: bool| {
            let pool = pool(name, threads, nice)?;
            let line = Line::new(pool.threads(), patient);
            io::Result::Ok(Lane { pool, line })
        };
        let units = usize::try_from(most_memory / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self {
            // One more than processors, so that an image that takes long leaves one for each of them.
            light: pool("fer-decode", config.decode_threads().saturating_add(1), 0)?,
            heavy: lane("fer-heavy", config.decode_threads(), HEAVY_NICE, true)?,
            detect: lane("fer-detect", config.detect_threads(), HEAVY_NICE, true)?,
            slow: lane("fer-slow", NonZeroUsize::MIN, SLOW_NICE, false)?,
            estimates: Estimates::default(),
            memory: Arc::new(Semaphore::new(units.clamp(1, u32::MAX as usize))),
            most_memory,
            limits: Limits {
                max_pixels: config.max_pixels,
                ..Limits::default()
            },
            timeout: config.decode_timeout,
            metrics: Arc::clone(metrics),
            replaced: OverloadLog::default(),
        })
    }

    /// The pool that also parses large bodies.
    pub(super) const fn light(&self) -> &DecodePool {
        &self.light
    }

    /// For how long the slowest decoder has been with its image.
    pub(super) fn longest(&self, now: Instant) -> Duration {
        let lanes = [&self.heavy, &self.detect, &self.slow].map(|lane| lane.pool.longest(now));
        lanes.into_iter().fold(self.light.longest(now), Duration::max)
    }

    /// Does the work and hands its outcome, which is not [`Outcome::Heavy`], to `finish` on the decoder's thread.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        session: &Session,
        image: EncodedImage,
        work: Work,
        finish: impl Fn(Outcome) -> T + Clone + Send + 'static,
    ) -> Result<T, DecodingError> {
        let attempt = Attempt {
            decoders: Arc::clone(self),
            image,
            work,
            finish,
            deadline: session.deadline,
        };
        let light = Grant {
            pixels: LIGHT_PIXELS,
            memory: LIGHT_MEMORY,
            find: false,
        };
        let time = self.estimates.megapixel().saturating_mul(2).max(LIGHT_TIME)
            + Duration::from_nanos(NANOS_PER_BYTE.saturating_mul(attempt.image.size() as u64));
        let memory = match attempt.on(&self.light, Duration::ZERO, light, time, ()).await? {
            Step::Done(done) => return Ok(done),
            Step::Heavy(needs) => {
                self.count_pixels(session, &needs)?;
                let lane = match work {
                    Work::Face => &self.heavy,
                    Work::Find { .. } => &self.detect,
                };
                let expected = self.estimates.of(&work, &needs);
                let place = self.enter(session, lane, expected)?;
                let (grant, permit) = self.grant(needs.memory, attempt.image.size()).await?;
                let time = expected.saturating_mul(SLOW).max(HEAVY_TIME);
                let held = (place, permit);
                match attempt.on(&lane.pool, after(expected), grant, time, held).await? {
                    Step::Done(done) => return Ok(done),
                    Step::Slow | Step::Heavy(_) => needs.memory,
                }
            }
            Step::Slow => LIGHT_MEMORY,
        };
        self.run_slowly(session, &attempt, memory).await
    }

    /// Lets the slow decoder do the work, with that memory; with more if the header asks for it.
    async fn run_slowly<T: Send + 'static>(
        &self,
        session: &Session,
        attempt: &Attempt<impl Fn(Outcome) -> T + Clone + Send + 'static>,
        mut memory: u64,
    ) -> Result<T, DecodingError> {
        loop {
            let place = self.enter(session, &self.slow, self.timeout)?;
            let (grant, permit) = self.grant(memory, attempt.image.size()).await?;
            let (pool, held) = (&self.slow.pool, (place, permit));
            match attempt
                .on(pool, Duration::ZERO, grant, self.timeout, held)
                .await?
            {
                Step::Done(done) => return Ok(done),
                Step::Heavy(needs) if needs.memory > memory => memory = needs.memory,
                Step::Slow | Step::Heavy(_) => return Err(DecodeError::TooCostly(Ended::Time).into()),
            }
        }
    }

    /// Counts an image that is not small towards the pixels of its request.
    fn count_pixels(&self, session: &Session, needs: &Needs) -> Result<(), DecodeError> {
        let limit = self.limits.max_pixels.saturating_mul(Session::LARGEST_IMAGES);
        let before = session.pixels.fetch_add(needs.pixels, Ordering::Relaxed);
        if before.saturating_add(needs.pixels) > limit {
            return Err(DecodeError::TooManyPixelsInRequest(limit));
        }
        Ok(())
    }

    /// A place in the line, at once or not at all. A request that has one image in a line may have all of them there.
    fn enter(&self, session: &Session, lane: &Lane, expected: Duration) -> Result<Place, DecodingError> {
        let admitted = session.admitted.load(Ordering::Relaxed);
        let Some(place) = lane.line.enter(expected, admitted) else {
            self.metrics.reject(Rejected::DecodeLine);
            return Err(DecodingError::Overloaded);
        };
        session.admitted.store(true, Ordering::Relaxed);
        Ok(place)
    }

    /// Waits for the memory that an image needs besides its file.
    async fn grant(&self, memory: u64, file: usize) -> Result<(Grant, OwnedSemaphorePermit), DecodingError> {
        let total = memory.saturating_add(file as u64);
        if total > self.most_memory {
            return Err(DecodeError::TooCostly(Ended::Memory).into());
        }
        let units = u32::try_from(total.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units
            .min(u32::try_from(self.most_memory / UNIT).unwrap_or(u32::MAX))
            .max(1);
        let permit = Arc::clone(&self.memory).acquire_many_owned(units).await;
        let permit = permit.map_err(|e| PoolError(e.to_string()))?;
        let grant = Grant { memory, ..Grant::ALL };
        Ok((grant, permit))
    }

    /// Observes the time that an image took, and learns from it.
    fn learn(&self, outcome: &Outcome, processor: Duration) {
        match outcome {
            Outcome::Heavy(_) => {}
            Outcome::Face { needs, decode, .. } => {
                self.metrics.decode.observe(decode.as_secs_f64());
                self.estimates.learn(needs, processor, None);
            }
            Outcome::Found {
                needs,
                decode,
                detect,
                found,
            } => {
                self.metrics.decode.observe(decode.as_secs_f64());
                self.metrics.detected(found.faces.len(), detect.as_secs_f64());
                // Both parts as elapsed time; together as processor time.
                let part = decode.as_secs_f64() / (*decode + *detect).as_secs_f64().max(f64::MIN_POSITIVE);
                let decoding = processor.mul_f64(part.clamp(0.0, 1.0));
                let searching = processor.saturating_sub(decoding);
                self.estimates.learn(needs, decoding, Some(searching));
            }
        }
    }

    /// Counts and logs what happened to a decoder.
    fn note_end(&self, ended: &Ended) {
        self.metrics.decoder_replaced(ended);
        if let Ended::Crash(text) = ended {
            tracing::warn!(cause = text, "a decoder crashed at an image and was replaced");
        }
        if let Some(count) = self.replaced.count(Instant::now()) {
            tracing::warn!(
                count,
                reason = ended.label(),
                "decoders were ended at images and replaced"
            );
        }
    }
}

/// Where images are decoded, as configured and as the system allows.
fn choose(place: DecoderPlace, most_memory: u64) -> io::Result<Helpers> {
    if place == DecoderPlace::InProcess {
        tracing::warn!(
            "images are decoded in this process (--decoders in-process), without limits of memory and time"
        );
        return Ok(Helpers::InProcess);
    }
    match (Decoder::start(Helpers::Confined, most_memory, 0), place) {
        (Ok(_), _) => Ok(Helpers::Confined),
        (Err(error), DecoderPlace::Confined) => {
            Err(io::Error::other(format!("--decoders confined: {error}")))
        }
        (Err(error), _) => {
            tracing::warn!(
                %error,
                "images are decoded in this process, without limits of memory and time: no confined decoder starts here"
            );
            Ok(Helpers::InProcess)
        }
    }
}

fn after(expected: Duration) -> Duration {
    expected.saturating_mul(SHORT_FIRST).min(LONGEST_AFTER)
}

/// One image on its way through the decoders.
struct Attempt<F> {
    decoders: Arc<Decoders>,
    image: EncodedImage,
    work: Work,
    finish: F,
    deadline: Instant,
}

impl<F> Attempt<F> {
    /// Tries the work on a decoder of that pool; `held` is dropped when the decoder is free again, also if the
    /// request has ended before.
    async fn on<T: Send + 'static>(
        &self,
        pool: &DecodePool,
        after: Duration,
        grant: Grant,
        time: Duration,
        held: impl Send + 'static,
    ) -> Result<Step<T>, DecodingError>
    where
        F: Fn(Outcome) -> T + Clone + Send + 'static,
    {
        let (decoders, finish) = (Arc::clone(&self.decoders), self.finish.clone());
        let bounds = Bounds {
            limits: decoders.limits,
            grant,
            processor: time.min(decoders.timeout),
            deadline: self.deadline,
        };
        let finish = move |decoded: Decoded| {
            let _held = held;
            let Done { result, processor } = decoded.inspect_err(|_| decoders.metrics.decode.observe(0.0))?;
            match result {
                Ok(Outcome::Heavy(needs)) => Ok(Step::Heavy(needs)),
                Ok(outcome) => {
                    decoders.learn(&outcome, processor);
                    Ok(Step::Done(finish(outcome)))
                }
                Err(Failure::Ended(ended)) => {
                    decoders.note_end(&ended);
                    match ended {
                        Ended::Time => Ok(Step::Slow),
                        Ended::Deadline => Err(DecodingError::Deadline),
                        Ended::Memory | Ended::Crash(_) => Err(DecodeError::TooCostly(ended).into()),
                    }
                }
                Err(Failure::Image(error)) => {
                    decoders.metrics.decode.observe(processor.as_secs_f64());
                    Err(DecodeError::from(error).into())
                }
                Err(Failure::Detector(text) | Failure::Unavailable(text)) => Err(PoolError(text).into()),
            }
        };
        pool.decode(self.image.clone(), self.work, bounds, after, finish)
            .await?
    }
}
