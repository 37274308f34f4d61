//! A loaded model: its manifest and the batcher that runs it. Reload replaces the whole at once, so that an
//! answer names the model that gave it.

use std::sync::Arc;

use crate::{
    batcher::{Batcher, Factory, Layout, Policy, StartError, panic_text},
    config::{Config, ModelArgs},
    engine::{Chosen, Classifier, EngineError, Incumbent, Manifest, ModelFolder, select},
    metrics::Metrics,
};

/// A model that is warmed up and answers.
#[derive(Debug)]
pub struct Model {
    /// What the folder says of itself.
    pub manifest: Manifest,
    /// What the choice of engine at the next reload begins with.
    pub serves: Incumbent,
    /// Its workers.
    pub batcher: Batcher,
}

impl Model {
    /// Opens the folder, checks its hashes, starts the workers and warms them up; on a reload with the engine that serves
    /// already, if it will do. Blocks.
    ///
    /// # Errors
    /// [`StartError`] if the folder is not as it should be, the device is not there or the network fails.
    pub fn load(
        config: &Config,
        metrics: &Arc<Metrics>,
        serving: Option<&Incumbent>,
    ) -> Result<Self, StartError> {
        let device = config.model.device.resolve()?;
        let (manifest, serves, factory) = prepare(device, &config.model, serving)?;
        let cuda = device.is_cuda();
        let layout = Layout {
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
            batcher: Batcher::start(&factory, layout, metrics)?,
        })
    }
}

/// One engine on the calling thread, for use without a server.
///
/// # Errors
/// As [`Model::load`].
pub fn single(args: &ModelArgs) -> Result<(Manifest, Box<dyn Classifier>), StartError> {
    let (manifest, _, factory) = prepare(args.device.resolve()?, args, None)?;
    Ok((manifest, factory()?))
}

/// Opens the folder, chooses the engine and says how each worker builds its own.
fn prepare(
    device: tch::Device,
    args: &ModelArgs,
    serving: Option<&Incumbent>,
) -> Result<(Manifest, Incumbent, Arc<Factory>), StartError> {
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
        .map_err(|panic| StartError::Panic(panic_text(&*panic)))??;
    let serves = chosen.serves().clone();
    let factory = move || {
        // OpenMP's count is per thread: it holds for the thread that sets it, and libtorch hands the last
        // value set to threads that are new to it. Each worker therefore sets its own.
        tch::set_num_threads(threads);
        chosen.engine()
    };
    Ok((manifest, serves, Arc::new(factory)))
}
