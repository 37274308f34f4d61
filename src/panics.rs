//! Containing panics of code that must not end its thread: engines, parsers, handlers.

use std::any::Any;

pub(crate) use fer_image::helper::catch;

/// The message of a caught panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    fer_image::helper::panic_text(panic).to_owned()
}
