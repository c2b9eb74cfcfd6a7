//! The rendered transition table.
