//! `fer-decode`: decodes images and finds faces for `fer-serve`, which starts it. All of it is in the crate fer-image; this
//! program must not use anything that loads libtorch.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    fer_image::helper::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
