//! The program `fer-decode`: confines itself, then answers requests on its standard input, a socket, until that is closed.

use std::{
    cell::OnceCell,
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use super::{
    confine::confine,
    wire::{self, Hello, Messages, Reply, Request},
    work::{catch, perform},
};
use crate::faces::Seeta;

/// Runs the program `fer-decode`.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Fails if standard error is closed; the exit code still tells.
            let _ = writeln!(
                io::stderr(),
                "fer-decode: {error} (fer-serve and fer-train start this program; it has no other use)"
            );
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        return writeln!(io::stdout(), "fer-decode {}", env!("CARGO_PKG_VERSION"));
    }
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [address_space, nice] = arguments[..] else {
        return Err(io::Error::other(
            "it takes the most address space and a nice value",
        ));
    };
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails where the priority is that low already.
    let _ = rustix::process::setpriority_process(None, i32::try_from(nice).unwrap_or(0));
    let before = address_space_now()?;
    // Its text goes to the parent.
    std::panic::set_hook(Box::new(|_| {}));
    let hello = Hello {
        address_space: before,
        limit: confine(address_space)?,
    };
    socket.write_all(&wire::append(Vec::new(), &hello, 0)?)?;

    let detector = OnceCell::new();
    let mut requests = Messages::default();
    let mut replies = Vec::new();
    loop {
        let (request, file) = match requests.next::<Request>(&mut socket, u32::MAX as usize) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            message => message?,
        };
        let detector = || match detector.get() {
            Some(detector) => Ok(detector),
            None => Seeta::new().map(|new| detector.get_or_init(|| new)),
        };
        let work = || perform(&request.work, file, &request.limits, &request.grant, detector);
        let result = match catch(work) {
            Ok(result) => result,
            // The decoder may have left anything behind: the parent starts another process.
            Err(text) => return socket.write_all(&wire::append(replies, &Reply::panic(text), 0)?),
        };
        let (reply, pixels) = Reply::new(result, processor_time());
        replies = wire::append(replies, &reply, pixels.len())?;
        replies.extend_from_slice(&pixels);
        // The replies to several requests go back together.
        if !requests.more() {
            socket.write_all(&replies)?;
            replies.clear();
        }
    }
}

/// Processor time of this process since its start.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .unwrap_or_default()
}

fn address_space_now() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split_whitespace()
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("cannot read /proc/self/statm"))?;
    Ok(pages * rustix::param::page_size() as u64)
}
