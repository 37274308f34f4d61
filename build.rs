//! Tells the linker where libtorch lies, so that neither binary needs `LD_LIBRARY_PATH`, and fetches the
//! face detector's model file out of the `rustface` crate.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    face_model();
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
