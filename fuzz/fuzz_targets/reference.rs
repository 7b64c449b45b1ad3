//! libFuzzer's entry to [`hull_fuzz::reference`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hull_fuzz::reference(data));
