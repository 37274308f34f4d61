#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fer_engine::fuzzing::manifest(bytes));
