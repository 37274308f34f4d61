//! Tells the linker where libtorch lies, so that neither binary needs `LD_LIBRARY_PATH`; compiles the packed
//! engine's loops, once for each instruction set; and fetches the face detector's model file out of the
//! `rustface` crate.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    compile_loops();
    compile_block1();
    compile_system();
    contract_json();
    face_model();
    link_libtorch();
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
    const SOURCES: &str = "src/engine/packed/csrc";
    println!("cargo:rerun-if-changed={SOURCES}");
    let mut dispatch = loops();
    dispatch.file(format!("{SOURCES}/dispatch.cpp"));
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    // What the table holds follows from the name and not from what the compiler may use: CXXFLAGS can allow more.
    let mut add = |name: &str, holds: &str, flags: &[&str]| {
        let mut build = loops();
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
            .all(|flag| loops().is_flag_supported(flag).unwrap_or(false));
        if known {
            add("fer_amx", "FER_TABLE_TILES", &[&AVX512[..], &tiles].concat());
            dispatch.define("FER_AMX_TILES", None);
        }
        dispatch.define("FER_X86", None);
    }
    dispatch.compile("fer_packed");
}

/// The first block in training; its compiler makes a version for each instruction set.
fn compile_block1() {
    const SOURCE: &str = "src/train/csrc/block1.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    loops().file(SOURCE).compile("fer_block1");
}

/// What the C library is asked for: what the allocator keeps, and the end.
fn compile_system() {
    const SOURCES: &str = "src/csrc";
    println!("cargo:rerun-if-changed={SOURCES}");
    let files = ["memory.cpp", "end.cpp"].map(|file| format!("{SOURCES}/{file}"));
    loops().files(files).compile("fer_system");
}

/// Optimised in every profile: tests run whole networks through them.
fn loops() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .cpp_link_stdlib(None)
        .opt_level(3)
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        // Multiply-add in one instruction, which standard C++ leaves to the compiler.
        .flag("-ffp-contract=fast")
        .flag_if_supported("-Wno-psabi")
        // GCC's own headers start from undefined registers on purpose.
        .flag_if_supported("-Wno-uninitialized")
        .flag_if_supported("-Wno-maybe-uninitialized");
    build
}

fn link_libtorch() {
    println!("cargo:rustc-check-cfg=cfg(libtorch_cuda)");
    // torch-sys (`links = "tch"`) says where it found libtorch.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    let lib = Path::new(&lib);
    // First beside the binary (`bin/` and `lib/` in a container or a tarball), then where it was built.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // The CUDA half of libtorch registers itself when loaded; nothing refers to its symbols, so the
    // linker would drop it and CUDA would silently be absent. tests/link.rs holds this to its word.
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-cfg=libtorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,-ltorch,--as-needed");
    }
}

/// Copies the model file of the `rustface` crate, a build dependency, to where `src/faces` includes it from.
#[allow(clippy::panic)] // the way a build script says what is wrong
fn face_model() {
    const FILE: &str = "seeta_fd_frontal_v1.0.bin";
    let Some(folder) = rustface() else {
        panic!(
            "`cargo metadata` names no folder of the crate `rustface`; run `cargo fetch --locked` and build again"
        );
    };
    // For tests, which look at the photo it carries.
    println!("cargo:rustc-env=RUSTFACE_DIR={}", folder.display());
    let source = folder.join("model").join(FILE);
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join(FILE);
    if let Err(error) = fs::copy(&source, &target) {
        panic!(
            "cannot copy {} to {}: {error}",
            source.display(),
            target.display()
        );
    }
    println!("cargo:rerun-if-changed={}", source.display());
}

/// The folder of the crate's source.
fn rustface() -> Option<PathBuf> {
    // The first way needs no network and finds vendored crates, too, but fails where packages are missing that
    // only tests or other platforms need; then cargo's cache is looked at; at last cargo may fetch.
    named_by_cargo(&["--offline"])
        .or_else(in_cache)
        .or_else(|| named_by_cargo(&[]))
}

/// Where `cargo metadata` says that it is.
fn named_by_cargo(how: &[&str]) -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(env::var_os("TARGET")?)
        .args(how)
        .current_dir(env::var_os("CARGO_MANIFEST_DIR")?)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // Each package of the list has its manifest's path; a parser of JSON would be a dependency more.
    let paths = text.split("\"manifest_path\":\"").skip(1);
    paths.filter_map(|rest| rest.split('"').next()).find_map(|path| {
        let folder = Path::new(path).parent()?;
        let name = folder.file_name()?.to_str()?;
        (name == "rustface" || name.starts_with("rustface-")).then(|| folder.to_owned())
    })
}

/// Where cargo unpacks a registry's crates, in the version of Cargo.lock.
fn in_cache() -> Option<PathBuf> {
    let lock = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.lock");
    let lock = fs::read_to_string(lock).ok()?;
    let (_, package) = lock.split_once("name = \"rustface\"\nversion = \"")?;
    let version = package.split('"').next()?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .filter_map(|registry| Some(registry.ok()?.path().join(format!("rustface-{version}"))))
        .find(|folder| folder.is_dir())
}

/// Writes openapi.yaml as JSON, with its keys in the same order, to where `src/http/routes/contract.rs` includes it from.
#[allow(clippy::panic)] // the way a build script reports an error
fn contract_json() {
    const YAML: &str = "openapi.yaml";
    println!("cargo:rerun-if-changed={YAML}");
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("openapi.json");
    let written = fs::read_to_string(YAML)
        .map_err(|e| e.to_string())
        .and_then(|yaml| serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&yaml).map_err(|e| e.to_string()))
        .and_then(|value| serde_json::to_vec(&value).map_err(|e| e.to_string()))
        .and_then(|json| fs::write(target, json).map_err(|e| e.to_string()));
    if let Err(error) = written {
        panic!("cannot convert {YAML} to JSON: {error}");
    }
}
