//! libFuzzer's entry to [`hull_fuzz::gzip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::gzip(data));
