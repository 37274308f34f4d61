//! A loaded model: its manifest and the batcher that runs it. A reload replaces both at once, so that an answer names the
//! model that gave it.

use std::sync::Arc;

use fer_engine::{Chosen, Classifier, EngineError, Incumbent, Manifest, ModelFolder, select};

use crate::{
    batcher::{Batcher, BatcherOptions, EngineFactory, Policy, StartError},
    config::{Config, ModelArgs},
    observability::metrics::Metrics,
    panics,
};

/// A model that is warmed up and answers.
#[derive(Debug)]
pub(crate) struct LoadedModel {
    pub(crate) manifest: Manifest,
    /// The engine that runs it: the next reload tries it first.
    pub(crate) serves: Incumbent,
    pub(crate) batcher: Batcher,
}

impl LoadedModel {
    /// Opens the folder, checks its hashes, starts the workers and warms them up. A reload passes the engine that is
    /// `serving`, which is kept if it still suits. Blocks.
    pub(crate) fn load(
        config: &Config,
        metrics: &Arc<Metrics>,
        serving: Option<&Incumbent>,
    ) -> Result<Self, StartError> {
        let device = config.model.device.resolve()?;
        let (manifest, serves, factory) = prepare(device, &config.model, serving)?;
        let cuda = device.is_cuda();
        let options = BatcherOptions {
            workers: config.workers(cuda),
            policy: Policy {
                max_batch: config.max_batch(cuda),
                linger: config.batch_linger,
            },
            queue: config.queue(cuda),
        };
        Ok(Self {
            manifest,
            serves,
            batcher: Batcher::start(&factory, options, metrics)?,
        })
    }
}

/// The manifest and one engine on the calling thread, for use without a server.
pub(crate) fn load_engine(args: &ModelArgs) -> Result<(Manifest, Box<dyn Classifier>), StartError> {
    let (manifest, _, factory) = prepare(args.device.resolve()?, args, None)?;
    Ok((manifest, factory()?))
}

/// Opens the folder, chooses the engine, and returns how each worker builds its own.
fn prepare(
    device: tch::Device,
    args: &ModelArgs,
    serving: Option<&Incumbent>,
) -> Result<(Manifest, Incumbent, Arc<EngineFactory>), StartError> {
    let threads = i32::try_from(args.threads.get()).unwrap_or(i32::MAX);
    let choose = || -> Result<(Manifest, Chosen), EngineError> {
        if serving.is_some() {
            crate::sys::lower_priority();
        }
        tch::set_num_threads(threads);
        let folder = ModelFolder::open(&args.model)?;
        let chosen = select(&folder, device, args.engine, args.precision, serving)?;
        Ok((folder.manifest().clone(), chosen))
    };
    // On a thread of its own, which ends: libtorch keeps memory and settings for every thread it ran on, and the
    // workers must not inherit the priority of a reload.
    let (manifest, chosen) = std::thread::scope(|scope| scope.spawn(choose).join())
        .map_err(|panic| StartError::Panic(panics::message(&*panic)))??;
    let serves = chosen.serves().clone();
    let factory = move || {
        // OpenMP's thread count holds for the thread that sets it, and libtorch hands the last value set to threads
        // that are new to it: each worker sets its own.
        tch::set_num_threads(threads);
        chosen.engine()
    };
    Ok((manifest, serves, Arc::new(factory)))
}
