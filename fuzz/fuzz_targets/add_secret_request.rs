//! libFuzzer program of [`uv_fuzz::add_secret_request`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(add_secret_request);
