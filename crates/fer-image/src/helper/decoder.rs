//! One decoder: a helper process, or the calling thread where there is none.

use std::{io, time::Instant};

#[cfg(target_os = "linux")]
use super::process::Helper;
use super::work::{Done, Ended, Failure, Outcome, Task, catch, perform};
use crate::faces::Seeta;

/// Where images are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helpers {
    /// In helper processes.
    Confined,
    /// On the threads of this process, without limits of memory and time.
    InProcess,
}

/// Decodes images and finds faces, one request at a time.
#[derive(Debug)]
pub struct Decoder(Place);

#[derive(Debug)]
enum Place {
    #[cfg(target_os = "linux")]
    Helper(Helper),
    InProcess(Box<Seeta>),
}

impl Decoder {
    /// Starts a decoder. A helper process gives its requests at most that number of bytes of memory and runs at that nice
    /// value.
    ///
    /// # Errors
    /// The program `fer-decode` is missing, or the system does not let it confine itself; outside Linux always. In this process
    /// none can occur in a program that passed its tests.
    pub fn start(place: Helpers, most_memory: u64, nice: u8) -> io::Result<Self> {
        match place {
            #[cfg(target_os = "linux")]
            Helpers::Confined => Helper::start(most_memory, nice).map(|helper| Self(Place::Helper(helper))),
            #[cfg(not(target_os = "linux"))]
            Helpers::Confined => {
                let _ = (most_memory, nice);
                Err(io::Error::other("decoders are confined on Linux only"))
            }
            Helpers::InProcess => {
                let detector = Seeta::new().map_err(io::Error::other)?;
                Ok(Self(Place::InProcess(Box::new(detector))))
            }
        }
    }

    /// Does the tasks, in order. Small ones cost less together.
    ///
    /// The results are as many as the tasks. The decoder can be used again after each [`Failure`].
    pub fn run(&mut self, tasks: &[Task<'_>]) -> Vec<Done> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Place::Helper(helper) => helper.run(tasks),
            Place::InProcess(detector) => tasks.iter().map(|task| on_this_thread(task, detector)).collect(),
        }
    }

    /// Does one task. An image that takes much memory is granted what its header asks for, up to that of the bounds.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn run_alone(&mut self, task: &Task<'_>) -> Result<Outcome, Failure> {
        let mut bounds = *task.bounds;
        bounds.grant.memory = bounds.grant.memory.min(LIGHT_MEMORY);
        let mut run = |bounds| {
            let task = Task {
                bounds: &bounds,
                ..*task
            };
            let unavailable = || Failure::Unavailable("the decoder gave no result".to_owned());
            self.run(&[task]).pop().ok_or_else(unavailable)?.result
        };
        match run(bounds)? {
            Outcome::Heavy(needs) if needs.memory <= task.bounds.grant.memory => {
                bounds.grant.memory = needs.memory;
                run(bounds)
            }
            outcome => Ok(outcome),
        }
    }
}

fn on_this_thread(task: &Task<'_>, detector: &Seeta) -> Done {
    let began = Instant::now();
    let bounds = task.bounds;
    let work = || {
        perform(task.work, task.file, &bounds.limits, &bounds.grant, || {
            Ok(detector)
        })
    };
    let result = catch(work).unwrap_or_else(|text| Err(Failure::Ended(Ended::Crash(text))));
    Done {
        result,
        processor: began.elapsed(),
    }
}

/// Bytes of memory for an image whose header is not known yet.
const LIGHT_MEMORY: u64 = 32 << 20;
