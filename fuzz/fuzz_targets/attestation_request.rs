//! libFuzzer program of [`uv_fuzz::attestation_request`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(attestation_request);
