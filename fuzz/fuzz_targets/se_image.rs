//! libFuzzer program of [`uv_fuzz::se_image`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(se_image);
