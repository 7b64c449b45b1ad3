//! libFuzzer's entry to [`hull_fuzz::tar`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::tar(data));
