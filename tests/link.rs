//! How a program is linked: it finds libtorch by itself, and in a CUDA build CUDA is there. Part of two packages, one for
//! each program.

use std::process::Command;

const PROGRAM: &str = match (
    option_env!("CARGO_BIN_EXE_fer-serve"),
    option_env!("CARGO_BIN_EXE_fer-train"),
) {
    (Some(path), _) | (None, Some(path)) => path,
    (None, None) => panic!("this package has no program"),
};

/// Built with the CUDA libtorch (`make test DEVICE=cuda`), the CUDA half must be loaded, even where there
/// is no GPU; built with the CPU one, it must not be claimed.
#[test]
fn cuda_is_loaded_exactly_if_built_with_it() {
    // Without the CUDA half of libtorch, asking for cuDNN's version is an error there.
    let cudnn = fer_engine::cuda_linked().then(tch::utils::version_cudnn);
    println!("cuDNN: {cudnn:?}");
    assert_eq!(fer_engine::cuda_linked(), cfg!(libtorch_cuda));
    if cfg!(libtorch_cuda) {
        assert!(cudnn.is_some_and(|version| version > 0), "{cudnn:?}");
    } else {
        assert_eq!(cudnn, None);
    }
}

/// The test above speaks of this test program; the program must ask the loader for CUDA too.
#[test]
fn the_program_asks_for_cuda_exactly_if_built_with_it() {
    let bytes = std::fs::read(PROGRAM).unwrap();
    let name = b"\0libtorch_cuda.so\0";
    let asks = bytes.windows(name.len()).any(|window| window == name);
    assert_eq!(asks, cfg!(libtorch_cuda), "{PROGRAM}");
}

/// Cargo sets `LD_LIBRARY_PATH` for tests; users do not.
#[test]
fn the_program_starts_without_a_library_path() {
    let output = Command::new(PROGRAM)
        .arg("--help")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{PROGRAM}: {output:?}");
}
