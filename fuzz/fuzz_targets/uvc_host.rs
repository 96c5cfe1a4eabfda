//! libFuzzer program of [`uv_fuzz::uvc_host`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(uvc_host);
