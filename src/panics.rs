//! Containing panics of code that must not end its thread: decoders, engines, handlers.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs `work`; if it panics, returns the panic's message. The caller must not use what `work` was changing.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// The message of a caught panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    fer_image::helper::panic_text(panic).to_owned()
}
