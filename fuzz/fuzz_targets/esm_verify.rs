//! libFuzzer program of [`uv_fuzz::esm_verify`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_verify);
