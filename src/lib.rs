//! `fer-serve`: which expression does this face show?
//!
//! A small HTTP inference service for the network of "Convolutional Neural Networks for Facial
//! Expression Recognition" (arXiv 1704.06756), and the program that trains it.
//!
//! Data flows one way, and no tensor leaves [`engine`]:
//!
//! ```text
//! HTTP body → image → Face → batcher → engine → Probabilities → JSON
//! CSV row   ─────────→ Face → train::augment → train::network → checkpoint → model folder
//! ```
//!
//! - [`config`]: flags and environment of the server, validated once at the start
//! - [`emotion`]: the seven labels and a probability vector over them
//! - [`image`]: bytes → [`image::Face`]; the only preprocessing there is
//! - [`faces`]: finding faces in a photo and cutting them out
//! - [`decode`]: the threads on which pictures are decoded
//! - [`engine`]: the model folder and what runs it
//! - [`batcher`]: bounded queue → workers that own an engine
//! - [`http`]: routes, layers, errors
//! - `app`: the state that handlers and layers share
//! - `auth`: API keys and rate limits
//! - [`observability`]: metrics, log, spans
//! - [`model`]: a loaded model: its manifest and the batcher that runs it
//! - `reload`: model folder, API keys and certificate read again while serving
//! - [`commands`]: `predict` and `healthcheck`
//! - [`background`]: threads that give way to requests
//! - [`memory`]: what the C library's allocator keeps
//! - [`end`]: the end of the process
//! - `tls`: certificate and key
//! - [`server`]: load, warm up, accept, drain
//! - [`mod@bench`]: how fast the engines are
//! - [`files`]: files that are either whole or as they were before
//! - [`train`]: data, augmentation, network, optimiser, checkpoints, evaluation

mod app;
mod auth;
pub mod background;
#[allow(unreachable_pub)]
pub(crate) mod batcher;
pub mod bench;
pub mod commands;
pub mod config;
#[allow(unreachable_pub)]
pub(crate) mod decode;
pub mod emotion;
pub mod end;
pub mod engine;
pub mod faces;
pub mod files;
#[cfg(test)]
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod image;
pub mod memory;
#[allow(unreachable_pub)]
pub(crate) mod model;
pub mod observability;
mod reload;
pub mod server;
mod tls;
pub mod train;

pub(crate) use observability::metrics;
