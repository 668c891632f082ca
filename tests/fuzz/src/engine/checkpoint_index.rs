//! What the fuzzing engine runs for the target `checkpoint-index`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::checkpoint_index::run(input));
