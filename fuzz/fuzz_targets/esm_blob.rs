//! libFuzzer program of [`uv_fuzz::esm_blob`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_blob);
