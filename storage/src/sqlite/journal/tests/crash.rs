//! Its tests.
