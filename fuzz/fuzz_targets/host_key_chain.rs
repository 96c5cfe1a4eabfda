//! libFuzzer program of [`uv_fuzz::host_key_chain`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(host_key_chain);
