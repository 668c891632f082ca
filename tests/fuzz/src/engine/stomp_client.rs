//! What the fuzzing engine runs for the target `stomp-client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::stomp_client::run(input));
