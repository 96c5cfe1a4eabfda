//! libFuzzer program of [`uv_fuzz::certificate`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(certificate);
