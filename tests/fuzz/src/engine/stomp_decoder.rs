//! What the fuzzing engine runs for the target `stomp-decoder`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::stomp_decoder::run(input));
