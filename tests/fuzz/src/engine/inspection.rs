//! What the fuzzing engine runs for the target `inspection`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::inspection::run(input));
