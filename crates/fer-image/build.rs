//! Compiles `csrc/`, which calls libjpeg as the crate `mozjpeg-sys` builds it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=csrc");
    let mut build = cc::Build::new();
    let include = env::var_os("DEP_JPEG_INCLUDE").unwrap_or_default();
    build.includes(env::split_paths(&include));
    // Optimised in every profile, as the dependencies are.
    build
        .opt_level(3)
        .files(["csrc/jpeg.c", "csrc/scan.c"])
        .compile("fer_jpeg");
}
