//! libFuzzer program of [`uv_fuzz::ipib`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(ipib);
