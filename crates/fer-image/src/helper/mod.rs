//! Decoding and face detection in a process of their own, whose memory and processor time have limits.
//!
//! A decoder is large code that reads hostile bytes. A thread that decodes cannot be ended, and an allocation that fails
//! ends its whole process. So the server starts the program `fer-decode` and gives it the bytes over a socket; the process
//! that decodes can open no file and no connection, and the kernel ends it when it goes beyond its limits.
//!
//! ```text
//! Decoder::run → Request, file → [ fer-decode: open, decode, detect ] → Reply, faces → Outcome
//! ```
//!
//! - [`Decoder`]: one decoder, in a helper process or on the calling thread
//! - [`Work`], [`Bounds`], [`Outcome`], [`Failure`]: what it is asked, within which limits, and what it answers
//! - `work`: what the helper process does with one request
//! - `wire`: both messages as bytes
//! - `process`: the helper process that there is now, and its replacement
//! - `running`: starts, limits and ends one helper process
//! - `confine`: what the helper process gives up before it reads its first byte
//! - [`main`]: the program `fer-decode`

#[cfg(target_os = "linux")]
mod confine;
mod decoder;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod wire;
mod work;

pub use decoder::{Decoder, Helpers};
#[cfg(target_os = "linux")]
pub use serve::main;
pub use work::{Bounds, Done, Ended, Failure, Grant, Needs, Outcome, Task, Work, catch, panic_text};

/// The faces in all replies that these bytes hold, up to the first that is none.
#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
pub(crate) fn faces_in_replies(mut bytes: &[u8]) -> usize {
    let mut replies = wire::Messages::default();
    let mut count = 0;
    while let Ok((received, _)) = replies.reply(&mut bytes) {
        count += match received {
            wire::Received::Done(Ok(Outcome::Face { .. })) => 1,
            wire::Received::Done(Ok(Outcome::Found { found, .. })) => {
                found.faces.len() + usize::from(found.whole.is_some())
            }
            _ => 0,
        };
    }
    count
}

/// What a process replies to a file.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn reply_to(file: &[u8]) -> Vec<u8> {
    let limits = crate::fuzzing::LIMITS;
    let detector = crate::faces::Seeta::new();
    let work = Work::Find {
        options: crate::faces::Options::default(),
        or_whole: true,
    };
    let result = work::perform(&work, file, &limits, &Grant::ALL, || {
        detector.as_ref().map_err(Clone::clone)
    });
    let (reply, pixels) = wire::Reply::new(result, std::time::Duration::ZERO);
    let mut message = wire::append(Vec::new(), &reply, pixels.len()).unwrap_or_default();
    message.extend_from_slice(&pixels);
    message
}
