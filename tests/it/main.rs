//! The whole server over real sockets, and the real programs.
//!
//! | module | what it asks |
//! | --- | --- |
//! | [`access`] | API keys, limits of a client, CORS, `POST /admin/reload` |
//! | [`contract`] | does every answer agree with `openapi.yaml`, and `openapi.yaml` with the server? |
//! | [`decoders`] | the processes that decode: equal answers, limits, confinement, end |
//! | [`documents`] | do the links in the documents lead somewhere? |
//! | [`predict`] | `POST /predict`: forms, formats, many pictures; every error, each with its code |
//! | [`faces`] | `POST /faces`, `/predict?crop=face`, the console's files |
//! | [`golden`] | does a picture reach the model as the bytes it should? |
//! | [`hostile`] | bombs and their memory, bad clients, floods, faults of the machine |
//! | [`health`] | `/livez`, `/readyz`, `/healthz`; start, drain, reload |
//! | [`metrics`] | `/metrics`: all there from the start, exact, bounded |
//! | [`model`] | `GET /model` |
//! | [`requests`] | what holds for every route: ids, HEAD, unknown paths and methods |
//! | [`otlp`] | spans at a collector (with the feature `otlp`) |
//! | [`v2`] | the Open Inference Protocol |
//! | [`process`] | `fer-serve` as a process: flags, signals, exit codes, `predict`, `healthcheck` |
//! | [`tls`] | https: HTTP/1.1 and HTTP/2, slow handshakes, new certificates |
//!
//! Nothing here depends on how fast something happens: what must come is waited for.

// The lint table's exceptions for tests do not reach the functions that tests share.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::panic,
    clippy::unwrap_used
)]

mod access;
mod contract;
mod decoders;
mod documents;
mod faces;
mod golden;
mod health;
mod hostile;
mod metrics;
mod model;
#[cfg(feature = "otlp")]
mod otlp;
mod predict;
mod process;
mod requests;
mod support;
mod tls;
mod v2;
