//! One helper process: its start, requests and replies within their limits, its end.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    net::sockopt::set_socket_send_buffer_size,
    process::{Pid, Resource, Rlimit, prlimit},
};

use super::{
    wire::{self, Hello, Messages, Received, Request},
    work::{Done, Ended, Task},
};

/// How often a request's limits are checked while its answer is awaited.
const TICK: Duration = Duration::from_millis(5);
/// How long a new process may take until it says that it is confined.
const START: Duration = Duration::from_secs(10);
/// How many ticks a process that has closed its socket may take to end.
const LAST_TICKS: u32 = 40;
/// Address space besides a request's file and memory: a stack, the allocator's rounding.
const SLACK: u64 = 16 << 20;
/// The limit of the address space is set in steps, so that most requests leave it as it is.
const STEP: u64 = 16 << 20;
/// A file up to this number of bytes is sent together with the head of its message.
const SMALL: usize = 64 << 10;
/// Bytes that the socket holds.
const SOCKET: usize = 1 << 20;
/// glibc's settings in the helper process: freed memory of a large image goes back to the system at once, that of a small one
/// is kept for the next.
const ALLOCATOR: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "4194304"),
    ("MALLOC_TRIM_THRESHOLD_", "8388608"),
    ("MALLOC_TOP_PAD_", "1048576"),
];

/// A helper process.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    socket: UnixStream,
    /// Address space that the process had at its start.
    base: u64,
    /// The limit that no request passes.
    hard: u64,
    /// The limit in force.
    limit: u64,
    /// Processor time that it had used at its last reply.
    processor: Duration,
    replies: Messages,
}

/// Why a request got no reply from a process.
pub(super) enum NoReply {
    /// It passed a limit.
    Limit(Ended),
    /// The decoder panicked.
    Panic(String),
    /// The process has closed its end of the socket, or what came over it is no reply; the error says which.
    Lost {
        /// It had received the whole request.
        sent: bool,
        error: io::Error,
    },
}

impl Running {
    pub(super) fn start(program: &Path, most: u64, nice: u8) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        set_socket_send_buffer_size(&socket, SOCKET)?;
        let hard = most.saturating_add(1 << 30).min(i64::MAX.unsigned_abs());
        let child = Command::new(program)
            .args([hard.to_string(), nice.to_string()])
            .env_clear()
            .envs(ALLOCATOR)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal from a terminal is for the server alone.
            .process_group(0)
            .spawn()?;
        let mut running = Self {
            child,
            socket,
            base: 0,
            hard: u64::MAX,
            limit: u64::MAX,
            processor: Duration::ZERO,
            replies: Messages::default(),
        };
        running.socket.set_read_timeout(Some(START))?;
        let hello = running.replies.next::<Hello>(&mut running.socket, 0);
        match hello {
            Ok((hello, _)) => {
                running.base = hello.address_space;
                (running.hard, running.limit) = (hello.limit, hello.limit);
            }
            Err(error) => {
                let text = format!("it did not start ({error})");
                let status = running.end(&NoReply::Lost { sent: false, error });
                let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
                return Err(io::Error::other(format!("{text}: {status}")));
            }
        }
        running.socket.set_read_timeout(Some(TICK))?;
        running.socket.set_write_timeout(Some(TICK))?;
        Ok(running)
    }

    /// Sends the tasks, and adds the reply to each to the results.
    pub(super) fn exchange(
        &mut self,
        tasks: &[Task<'_>],
        most: u64,
        results: &mut Vec<Done>,
    ) -> Result<(), NoReply> {
        let lost = |sent: bool| move |error| NoReply::Lost { sent, error };
        let memory = tasks.iter().map(|task| task.bounds.grant.memory.min(most));
        let files: usize = tasks.iter().map(|task| task.file.len()).sum();
        self.allow(memory.max().unwrap_or(0).saturating_add(files as u64))
            .map_err(lost(false))?;
        let mut watched = Watched {
            pid: self.child.id(),
            socket: &self.socket,
            before: self.processor,
            processor: tasks
                .iter()
                .map(|task| task.bounds.processor)
                .max()
                .unwrap_or_default(),
            deadline: tasks.iter().map(|task| task.bounds.deadline).min(),
            over: None,
        };
        let sent = send(&mut watched, tasks);
        let replies = sent.map_err(|error| (false, error)).and_then(|()| {
            for _ in tasks {
                let (received, processor) =
                    self.replies.reply(&mut watched).map_err(|error| (true, error))?;
                match received {
                    Received::Done(result) => results.push(Done {
                        result,
                        processor: processor.saturating_sub(self.processor),
                    }),
                    Received::Panic(text) => return Ok(Some(text)),
                }
                self.processor = processor;
            }
            Ok(None)
        });
        match (replies, watched.over) {
            (Ok(None), _) => Ok(()),
            (Ok(Some(text)), _) => Err(NoReply::Panic(text)),
            (Err(_), Some(ended)) => Err(NoReply::Limit(ended)),
            (Err((sent, error)), None) => Err(NoReply::Lost { sent, error }),
        }
    }

    /// Sets the limit of the address space for a request that takes that number of bytes.
    fn allow(&mut self, bytes: u64) -> io::Result<()> {
        let limit = self.base.saturating_add(SLACK).saturating_add(bytes);
        let limit = limit.div_ceil(STEP).saturating_mul(STEP);
        if limit != self.limit {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            let soft = Rlimit {
                current: Some(limit.min(self.hard)),
                maximum: Some(self.hard),
            };
            prlimit(pid, Resource::As, soft)?;
            self.limit = limit;
        }
        Ok(())
    }

    /// Ends the process, and collects the status that says how it ended, if it did by itself.
    pub(super) fn end(mut self, no_reply: &NoReply) -> Option<ExitStatus> {
        if matches!(no_reply, NoReply::Lost { .. }) {
            // Its socket closes shortly before its status is there.
            for _ in 0..LAST_TICKS {
                match self.child.try_wait() {
                    Ok(None) => std::thread::sleep(TICK),
                    status => return status.ok().flatten(),
                }
            }
        }
        self.kill();
        None
    }

    pub(super) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the requests: small files in one call of the system and with one wake-up, large ones without a copy.
fn send(to: &mut impl Write, tasks: &[Task<'_>]) -> io::Result<()> {
    let mut message = Vec::new();
    for task in tasks {
        let request = Request {
            work: *task.work,
            limits: task.bounds.limits,
            grant: task.bounds.grant,
        };
        message = wire::append(message, &request, task.file.len())?;
        if task.file.len() <= SMALL {
            message.extend_from_slice(task.file);
        } else {
            to.write_all(&message)?;
            message.clear();
            to.write_all(task.file)?;
        }
    }
    to.write_all(&message)
}

impl NoReply {
    /// The process had ended before it received the image, or somebody ended it. (If the system did, for want of memory, the image
    /// may be the cause: once more shows it.)
    pub(super) fn is_not_of_the_image(&self, status: Option<ExitStatus>) -> bool {
        let signal = status.and_then(|status| status.signal());
        // Service managers send these to all processes of a service.
        let asked = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL]
            .map(Some)
            .contains(&signal);
        matches!(self, Self::Lost { sent, .. } if asked || !sent)
    }

    pub(super) fn cause(self, status: Option<ExitStatus>) -> Ended {
        match self {
            Self::Limit(ended) => ended,
            Self::Panic(text) => Ended::Crash(text),
            Self::Lost { error, .. } => match status.and_then(|status| status.signal()) {
                // A failed allocation aborts; SIGKILL that is not ours is the system's, for want of memory.
                Some(libc::SIGABRT | libc::SIGKILL) => Ended::Memory,
                Some(signal) => Ended::Crash(format!("signal {signal}")),
                None => Ended::Crash(format!("{error}; exit status {status:?}")),
            },
        }
    }
}

/// The socket, watching the limits of a request while it waits.
struct Watched<'a> {
    pid: u32,
    socket: &'a UnixStream,
    /// Processor time of the process before the request.
    before: Duration,
    /// Processor time that the requests may take.
    processor: Duration,
    deadline: Option<Instant>,
    /// The limit that the requests have passed.
    over: Option<Ended>,
}

impl Watched<'_> {
    /// Called whenever the process has kept us waiting for a tick.
    fn check(&mut self) -> io::Result<()> {
        self.over = if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Ended::Deadline)
        } else if processor_time(self.pid).saturating_sub(self.before) > self.processor {
            Some(Ended::Time)
        } else {
            return Ok(());
        };
        Err(io::Error::from(ErrorKind::TimedOut))
    }

    fn wait<T>(&mut self, mut operation: impl FnMut(&UnixStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match operation(self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.check()?,
                done => return done,
            }
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut socket| socket.read(buffer))
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Processor time that a process with one thread has used since its start; zero if the system does not tell.
fn processor_time(pid: u32) -> Duration {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let number = |text: &str| text.parse::<u64>().ok();
    let exact = read("schedstat").and_then(|text| number(text.split_whitespace().next()?));
    if let Some(nanoseconds) = exact {
        return Duration::from_nanos(nanoseconds);
    }
    // Behind the name in parentheses, user and system time are the 12th and 13th value, in hundredths of a second.
    let coarse = read("stat").and_then(|text| {
        let mut values = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(number(values.next()?)? + number(values.next()?)?)
    });
    Duration::from_millis(10 * coarse.unwrap_or_default())
}
