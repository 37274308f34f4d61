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
//! - [`http`]: routes, layers, errors
//! - `pipeline`: decoding, detection and the model in service
//! - `app`: the state that handlers and layers share
//! - `auth`: API keys and rate limits
//! - [`observability`]: metrics, log, spans
//! - `loaded_model`: a loaded model: its manifest and the batcher that runs it
//! - `reload`: model folder, API keys and certificate read again while serving
//! - [`commands`]: `predict`, `bench` and `healthcheck`
//! - `tls`: certificate and key
//! - [`server`]: load, warm up, accept, drain
//! - `panics`: containing panics
//! - `sys`: calls into the operating system

mod app;
mod auth;
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
pub mod observability;
pub(crate) mod panics;
pub(crate) mod pipeline;
mod reload;
pub mod server;
mod sys;
mod tls;

pub(crate) use fer_engine::{self as engine, emotion};
pub(crate) use fer_image::{self as image, faces};
