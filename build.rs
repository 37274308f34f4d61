//! Tells the linker where libtorch is, and turns the contract into JSON.

use std::{env, error::Error, fs, path::Path};

#[path = "build/libtorch.rs"]
mod libtorch;

const YAML: &str = "openapi.yaml";

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    libtorch::link();
    contract_json().map_err(|e| format!("cannot convert {YAML} to JSON: {e}"))
}

/// Writes openapi.yaml as JSON, with its keys in the same order, to where `src/http/routes/contract.rs` includes it from.
fn contract_json() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={YAML}");
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("openapi.json");
    let contract: serde_yaml_ng::Value = serde_yaml_ng::from_str(&fs::read_to_string(YAML)?)?;
    Ok(fs::write(target, serde_json::to_vec(&contract)?)?)
}
