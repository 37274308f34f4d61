//! The parent's side of a helper process: requests, and another process when one has ended.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    time::Duration,
};

use super::{
    running::Running,
    work::{Done, Failure, Task},
};

/// The helper's program.
const PROGRAM: &str = "fer-decode";

/// It lies beside the running program; the test programs of Cargo lie a folder below it.
fn program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut places = own.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    places.find(|place| place.is_file()).ok_or_else(|| {
        let text = format!("{PROGRAM} is not beside {}", own.display());
        io::Error::new(ErrorKind::NotFound, text)
    })
}

/// A helper process, replaced by another one whenever it ends.
#[derive(Debug)]
pub(super) struct Helper {
    program: PathBuf,
    /// The most memory that any request may have.
    most: u64,
    nice: u8,
    /// `None` after a start that failed.
    running: Option<Running>,
}

impl Helper {
    pub(super) fn start(most: u64, nice: u8) -> io::Result<Self> {
        let program = program()?;
        let running = Some(Running::start(&program, most, nice)?);
        Ok(Self {
            program,
            most,
            nice,
            running,
        })
    }

    /// Sends the tasks to the process and waits for its replies. If it ends while it has several, any of them may be the
    /// cause: those without a reply are then sent one by one.
    pub(super) fn run(&mut self, tasks: &[Task<'_>]) -> Vec<Done> {
        let mut results = Vec::with_capacity(tasks.len());
        let (mut together, mut again) = (tasks.len(), true);
        while let Some(left) = tasks.get(results.len()..).filter(|left| !left.is_empty()) {
            let mut running = match self.running.take().map_or_else(|| self.replacement(), Ok) {
                Ok(running) => running,
                Err(failure) => {
                    results.push(Done {
                        result: Err(failure),
                        processor: Duration::ZERO,
                    });
                    continue;
                }
            };
            let several = together.min(left.len());
            let Err(no_reply) = running.exchange(&left[..several], self.most, &mut results) else {
                self.running = Some(running);
                continue;
            };
            let status = running.end(&no_reply);
            self.running = self.replacement().ok();
            if several > 1 {
                together = 1;
            } else if again && no_reply.is_not_of_the_image(status) {
                again = false;
            } else {
                again = true;
                results.push(Done {
                    result: Err(Failure::Ended(no_reply.cause(status))),
                    processor: left[0].bounds.processor,
                });
            }
        }
        results
    }

    fn replacement(&self) -> Result<Running, Failure> {
        Running::start(&self.program, self.most, self.nice)
            .map_err(|error| Failure::Unavailable(format!("{}: {error}", self.program.display())))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}
