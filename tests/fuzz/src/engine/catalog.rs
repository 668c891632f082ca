//! What the fuzzing engine runs for the target `catalog`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::catalog::run(input));
