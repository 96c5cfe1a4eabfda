//! libFuzzer program of [`uv_fuzz::esm_kernel`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_kernel);
