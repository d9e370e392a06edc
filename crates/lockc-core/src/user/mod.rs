//! User space's half: configuration, policy decision, pinned maps.
