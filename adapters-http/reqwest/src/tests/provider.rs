//! The wire codec and this transport together, against a real authorization server on loopback.
