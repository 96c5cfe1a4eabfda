//! libFuzzer program of [`uv_fuzz::uvc_guest`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(uvc_guest);
