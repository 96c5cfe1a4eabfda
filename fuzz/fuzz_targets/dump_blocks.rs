//! libFuzzer program of [`uv_fuzz::dump_blocks`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(dump_blocks);
