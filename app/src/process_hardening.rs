//! What the process gives up before it holds a secret: core dumps, and being read by other processes of the same user.

/// Best effort: a system that refuses is no reason not to start.
#[cfg(target_os = "linux")]
pub fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Elsewhere only core dumps are switched off.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn harden() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// There is nothing to switch off.
#[cfg(not(unix))]
pub fn harden() {}
