//! Tells the linker where libtorch is, and turns the contract into JSON.

use std::{env, fs, path::Path};

#[path = "build/libtorch.rs"]
mod libtorch;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    libtorch::link();
    contract_json();
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
