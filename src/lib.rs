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
//! - [`engine`]: the model folder and what runs it
//! - [`pipeline`]: image bytes → probabilities: decode pool, face detection, the current model
//! - [`batcher`]: bounded queue → workers that own an engine
//! - [`http`]: routes, errors, observation
//! - [`metrics`]: every metric, its help and buckets
//! - [`loaded_model`]: a loaded model: its manifest and the batcher that runs it
//! - [`reload`]: model folder, API keys and certificate read again while serving
//! - [`commands`]: `predict`, `bench` and `healthcheck`
//! - [`telemetry`]: the log
//! - [`traces`]: spans over OTLP
//! - [`background`]: threads that give way to requests
//! - [`memory`]: what the C library's allocator keeps
//! - [`end`]: the end of the process
//! - [`tls`]: certificate and key
//! - [`serve`]: load, warm up, serve, drain
//! - [`panics`]: containing panics
//! - [`files`]: files that are either whole or as they were before
//! - [`train`]: data, augmentation, network, optimiser, checkpoints, evaluation

pub(crate) mod batcher;
pub mod commands;
pub mod config;
#[cfg(test)]
#[path = "../tests/support/flags.rs"]
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub(crate) mod loaded_model;
pub mod metrics;
pub(crate) mod panics;
pub(crate) mod pipeline;
pub mod reload;
pub mod serve;
mod sys;
pub mod telemetry;
pub mod tls;
pub mod traces;

pub(crate) use fer_engine::{self as engine, emotion};
pub(crate) use fer_image::{self as image, faces};
