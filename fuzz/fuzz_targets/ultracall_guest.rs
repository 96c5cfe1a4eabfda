//! libFuzzer program of [`uv_fuzz::ultracall_guest`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(ultracall_guest);
