//! libFuzzer's entry to [`hull_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::config(data));
