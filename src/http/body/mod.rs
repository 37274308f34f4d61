//! Request bodies: one wrapper that observes polls, reading within limits, and what to do with unread bodies.

pub(crate) mod read;
pub(crate) mod tap;
#[cfg(test)]
pub(crate) mod testing;
mod unread;

pub(crate) use read::read;
pub(crate) use unread::watch;
