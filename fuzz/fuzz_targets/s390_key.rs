//! libFuzzer program of [`uv_fuzz::s390_key`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(s390_key);
