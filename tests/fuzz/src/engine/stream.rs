//! What the fuzzing engine runs for the target `stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::stream::run(input));
