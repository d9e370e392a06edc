//! Recorded and made-up containers through admission.
