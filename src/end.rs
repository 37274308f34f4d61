//! The end of the process.

#![allow(unsafe_code)]

// SAFETY: it takes a number and does not come back.
unsafe extern "C" {
    safe fn fer_end(code: std::ffi::c_int) -> !;
}

/// Ends the process with that code, without the destructors of its libraries: they must not run beside threads that are still
/// inside of them.
pub fn at_once(code: u8) -> ! {
    fer_end(code.into())
}
