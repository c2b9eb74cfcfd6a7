//! Ports of this machine for servers of tests that listen in another process, or later than their port is chosen.
//!
//! A port that the system chooses is not suitable: until the server listens, the system may give it to another process, also as
//! the local port of an outgoing connection.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::{Mutex, PoisonError};

/// Below the ports that Linux (from 32768), macOS and Windows (from 49152) give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_768;

/// Locks of the ports of this process. The system releases them when it ends.
static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on which no process listens, and which no other test is given before this process ends.
///
/// # Panics
/// If no port is free, or the folder of locks in the temporary folder is not writable.
pub fn reserve() -> u16 {
    let folder = std::env::temp_dir().join("grantry-test-ports");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes start at different ports, so that they seldom try a port that another one has.
    let count = PORTS.len();
    let start = usize::try_from(process::id()).unwrap_or(0).wrapping_mul(61) % count;
    for port in PORTS.skip(start).chain(PORTS.take(start)) {
        let path = folder.join(port.to_string());
        let lock = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            reserved.push(lock);
            return port;
        }
    }
    panic!("no port is free between {} and {}", PORTS.start, PORTS.end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_one_process_differ_and_can_be_bound() {
        let ports: Vec<u16> = (0..20).map(|_| reserve()).collect();
        let listeners: Vec<_> = ports.iter().map(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).collect();
        assert!(listeners.iter().all(Result::is_ok), "{listeners:?}");
    }

    #[test]
    fn a_port_that_is_in_use_is_not_returned() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, reserve())).unwrap();
        let port = taken.local_addr().unwrap().port();
        // As if the process that reserved the port had ended while its server still listens.
        RESERVED.lock().unwrap().clear();
        assert!((0..20).all(|_| reserve() != port));
    }
}
