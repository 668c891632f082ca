//! What the fuzzing engine runs for the target `cells`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::cells::run(input));
