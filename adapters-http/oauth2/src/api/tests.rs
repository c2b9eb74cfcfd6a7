//! Joining, header rules and limits, over a scripted transport.
