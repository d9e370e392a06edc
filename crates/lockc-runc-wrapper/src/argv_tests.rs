//! Command lines of real engines and made-up ones.
