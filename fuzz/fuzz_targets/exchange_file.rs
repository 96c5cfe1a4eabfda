//! libFuzzer program of [`uv_fuzz::exchange_file`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(exchange_file);
