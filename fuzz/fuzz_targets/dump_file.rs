//! libFuzzer program of [`uv_fuzz::dump_file`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(dump_file);
