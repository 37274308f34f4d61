//! Compiles the first block of training, and tells the linker where libtorch is.

#[path = "../../build/cpp.rs"]
mod cpp;
#[path = "../../build/libtorch.rs"]
mod libtorch;

/// The first block in training. The compiler makes a version for each instruction set.
const BLOCK1: &str = "src/csrc/block1.cpp";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../build");
    println!("cargo:rerun-if-changed={BLOCK1}");
    cpp::compiler().file(BLOCK1).compile("fer_block1");
    libtorch::link();
}
