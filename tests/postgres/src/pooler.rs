//! A pooler in front of a cluster.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;

/// Debian does not put it into the `PATH` of every user.
const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer"];
/// How long its start may take.
const START: Duration = Duration::from_secs(30);

/// A `PgBouncer` in transaction mode in front of a private cluster. It ends with the value.
#[derive(Debug)]
pub struct Pooler {
    child: Child,
    settings: PathBuf,
    port: u16,
}

impl Pooler {
    /// Starts it with this number of connections to each database.
    pub fn start(cluster: &Cluster, connections: u32) -> Self {
        let port = grantry_test_ports::reserve();
        let settings = std::env::temp_dir().join(format!("grantry-test-pooler-{}-{port}.ini", std::process::id()));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 200\n",
            cluster.port()
        );
        fs::write(&settings, text).expect("the folder for temporary files can be written");
        let program = PROGRAMS.iter().find(|program| Path::new(program).exists()).unwrap_or_else(|| {
            panic!("PgBouncer is not installed, which this test needs. On Debian: apt-get install pgbouncer")
        });
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&settings).current_dir(std::env::temp_dir());
        // It refuses to run as root.
        let (user, group) = cluster.account();
        command.uid(user).gid(group).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut pooler = Self { child: command.spawn().expect("a process"), settings, port };
        let until = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let has_ended = pooler.child.try_wait().expect("a process");
            assert!(has_ended.is_none() && Instant::now() < until, "the pooler did not start: {has_ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.settings));
    }
}
