//! How the build scripts link libtorch, so that no program needs `LD_LIBRARY_PATH`.

use std::{env, path::Path};

/// Tells the linker where programs and tests find libtorch.
pub(crate) fn link() {
    println!("cargo:rustc-check-cfg=cfg(libtorch_cuda)");
    // torch-sys (`links = "tch"`) says where it found libtorch.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    let lib = Path::new(&lib);
    // First next to the binary (`bin/` and `lib/` in a container or a tarball), then where it was built.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // The CUDA half of libtorch registers itself when loaded. Nothing refers to its symbols, so the linker would drop it
    // and CUDA would silently be absent. tests/link.rs checks this.
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-cfg=libtorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,-ltorch,--as-needed");
    }
}
