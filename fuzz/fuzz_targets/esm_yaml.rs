//! libFuzzer program of [`uv_fuzz::esm_yaml`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_yaml);
