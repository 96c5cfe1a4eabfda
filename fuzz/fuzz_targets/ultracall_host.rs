//! libFuzzer program of [`uv_fuzz::ultracall_host`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(ultracall_host);
