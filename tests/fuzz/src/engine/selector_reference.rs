//! What the fuzzing engine runs for the target `selector-reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::targets::selector_reference::run(input));
