//! Nothing: the VMM is a test.
