//! How the binaries are linked: they find libtorch by themselves, and in a CUDA build CUDA is there.

use std::process::Command;

const BINARIES: [&str; 2] = [env!("CARGO_BIN_EXE_fer-serve"), env!("CARGO_BIN_EXE_fer-train")];

/// Built with the CUDA libtorch (`make test DEVICE=cuda`), the CUDA half must be loaded, even where there
/// is no GPU; built with the CPU one, it must not be claimed.
#[test]
fn cuda_is_loaded_exactly_if_built_with_it() {
    let cudnn = fer_serve::engine::cudnn_version();
    println!("cuDNN: {cudnn:?}");
    assert_eq!(fer_serve::engine::cuda_linked(), cfg!(libtorch_cuda));
    if cfg!(libtorch_cuda) {
        assert!(cudnn.is_some_and(|version| version > 0), "{cudnn:?}");
    } else {
        assert_eq!(cudnn, None);
    }
}

/// The test above speaks of this test program; the binaries must ask the loader for CUDA too.
#[test]
fn both_binaries_ask_for_cuda_exactly_if_built_with_it() {
    for binary in BINARIES {
        let bytes = std::fs::read(binary).unwrap();
        let name = b"\0libtorch_cuda.so\0";
        let asks = bytes.windows(name.len()).any(|window| window == name);
        assert_eq!(asks, cfg!(libtorch_cuda), "{binary}");
    }
}

/// Cargo sets `LD_LIBRARY_PATH` for tests; users do not.
#[test]
fn both_binaries_start_without_a_library_path() {
    for binary in BINARIES {
        let output = Command::new(binary)
            .arg("--help")
            .env_remove("LD_LIBRARY_PATH")
            .output()
            .unwrap();
        assert!(output.status.success(), "{binary}: {output:?}");
    }
}
