//! libFuzzer program of [`uv_fuzz::esm_cpio`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(esm_cpio);
