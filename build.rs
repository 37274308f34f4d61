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
        panic!("`cargo metadata` names no folder of the crate `rustface`; run `cargo fetch --locked` and build again");
    };
    // For tests, which look at the photo it carries.
    println!("cargo:rustc-env=RUSTFACE_DIR={}", folder.display());
    let source = folder.join("model").join(FILE);
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join(FILE);
    if let Err(error) = fs::copy(&source, &target) {
        panic!("cannot copy {} to {}: {error}", source.display(), target.display());
    }
    println!("cargo:rerun-if-changed={}", source.display());
}

/// The folder of the crate's source: a registry's cache, a vendor folder, wherever cargo has it.
fn rustface() -> Option<PathBuf> {
    // What is built is there already, so the first way needs no network; it fails where packages are missing
    // that only tests or other platforms need. Then cargo may fetch those.
    let offline: &[&str] = &["--offline"];
    [offline, &[]].into_iter().find_map(|how| {
        let cargo = env::var_os("CARGO")?;
        let output = Command::new(cargo)
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
    })
}
