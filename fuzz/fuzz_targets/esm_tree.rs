//! libFuzzer program of [`uv_fuzz::esm_tree`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_tree);
