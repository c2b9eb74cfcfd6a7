//! The lock of state that several tasks share. A test of the orders in which tasks run replaces this module by one whose locks are
//! points at which the scheduler can switch.

pub(crate) use std::sync::{Mutex, MutexGuard};
