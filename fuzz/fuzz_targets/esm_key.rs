//! libFuzzer program of [`uv_fuzz::esm_key`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_key);
