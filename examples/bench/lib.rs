//! Owns the program `bench_peers`.
