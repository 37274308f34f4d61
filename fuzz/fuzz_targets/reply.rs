#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fer_image::fuzzing::reply(bytes));
