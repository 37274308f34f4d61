//! Compiles the packed engine's loops once for each instruction set, and tells the linker where libtorch is.

use std::{env, path::Path};

#[path = "../../build/cpp.rs"]
mod cpp;
#[path = "../../build/libtorch.rs"]
mod libtorch;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../build");
    compile_loops();
    libtorch::link();
}

/// What AVX-512 means everywhere here.
const AVX512: [&str; 7] = [
    "-mavx2",
    "-mfma",
    "-mavx512f",
    "-mavx512bw",
    "-mavx512vl",
    "-mavx512dq",
    "-mprefer-vector-width=512",
];

/// `csrc/kernels.cpp` is compiled once for each instruction set; which of them run is decided at start.
fn compile_loops() {
    const SOURCES: &str = "src/packed/csrc";
    println!("cargo:rerun-if-changed={SOURCES}");
    let mut dispatch = cpp::compiler();
    dispatch.file(format!("{SOURCES}/dispatch.cpp"));
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    // What the table holds follows from the name and not from what the compiler may use: CXXFLAGS can allow more.
    let mut add = |name: &str, holds: &str, flags: &[&str]| {
        let mut build = cpp::compiler();
        // An object's name follows from its source alone.
        build.out_dir(Path::new(&out).join(name));
        build
            .file(format!("{SOURCES}/kernels.cpp"))
            .define("FER_NAME", name)
            .define(holds, None);
        for flag in flags {
            build.flag(flag);
        }
        for object in build.compile_intermediates() {
            dispatch.object(object);
        }
    };
    add("fer_portable", "FER_TABLE_F32", &[]);
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        add("fer_avx2", "FER_TABLE_F32", &["-mavx2", "-mfma"]);
        add("fer_avx512", "FER_TABLE_F32", &AVX512);
        add(
            "fer_bf16",
            "FER_TABLE_BF16",
            &[&AVX512[..], &["-mavx512bf16"]].concat(),
        );
        add(
            "fer_vnni",
            "FER_TABLE_INT8",
            &[&AVX512[..], &["-mavx512vnni"]].concat(),
        );
        // GCC 11 and Clang 11 know tiles.
        let tiles = [
            "-mavx512bf16",
            "-mavx512vnni",
            "-mamx-tile",
            "-mamx-bf16",
            "-mamx-int8",
        ];
        let known = tiles
            .iter()
            .all(|flag| cpp::compiler().is_flag_supported(flag).unwrap_or(false));
        if known {
            add("fer_amx", "FER_TABLE_TILES", &[&AVX512[..], &tiles].concat());
            dispatch.define("FER_AMX_TILES", None);
        }
        dispatch.define("FER_X86", None);
    }
    dispatch.compile("fer_packed");
}
