//! `fer-train` as its user meets it: the real binary, real files, small sets that the tests draw.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod distill;
mod eval;
mod export;
mod fit;
mod overlap;
mod rows;
mod support;
