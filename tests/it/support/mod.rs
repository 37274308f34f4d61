//! What the tests stand on: pictures, model folders, a running server, and answers checked on arrival.

pub(crate) mod answer;
pub(crate) mod model;
pub(crate) mod pictures;
pub(crate) mod raw;
pub(crate) mod server;

pub(crate) use answer::Answer;
pub(crate) use raw::Raw;
pub(crate) use server::Server;
