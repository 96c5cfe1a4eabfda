//! libFuzzer program of [`uv_fuzz::secret_list`].
#![cfg_attr(fuzzing, no_main)]

uv_fuzz::fuzz!(secret_list);
