//! libFuzzer's entry to [`hull_fuzz::index`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::index(data));
