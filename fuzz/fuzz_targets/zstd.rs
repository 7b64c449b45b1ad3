//! libFuzzer's entry to [`hull_fuzz::zstd`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::zstd(data));
