//! What the fuzzing engine runs for the target `http-query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::http_query::run(input));
