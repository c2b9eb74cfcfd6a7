//! Clusters for measurements.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::cluster::{
    Cluster, as_account, as_owner, create_folder, create_own, is_root, kept_cluster, run, stop_if_running,
};

/// For files that the account of the server cannot have where they belong. The folder for temporary files may be in memory, where a
/// durable commit costs nothing.
const ELSEWHERE: &str = "/var/tmp";

/// Settings for filling a database. A crash of the machine damages it.
const FILLING: [&str; 7] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=512MB",
    // Rows that are copied into a table in the transaction that empties it are not written to the log as well.
    "wal_level=minimal",
    "max_wal_senders=0",
    "maintenance_work_mem=256MB",
    "autovacuum=off",
];

/// A cluster for measurements: the server has its default settings, so what it has committed survives a crash. The files stay
/// when the server ends, and are used again.
#[derive(Debug, Clone)]
pub struct KeptCluster {
    folder: PathBuf,
    port: u16,
    core: Option<usize>,
}

impl KeptCluster {
    /// The cluster in a folder that no other one has, on a port and on one core of the machine if that is given. Where the
    /// account that runs the server cannot enter the folder, such as in the home of root, the files are below `/var/tmp`.
    pub fn new(folder: &Path, port: u16, core: Option<usize>) -> Self {
        create_folder(folder);
        Self { folder: accessible(folder), port, core }
    }

    /// Starts the server; creates the cluster if it does not exist.
    pub fn start(&self) -> Cluster {
        kept_cluster(&self.folder, self.port, self.core, &[])
    }

    /// Starts the server with settings that make filling a database fast: `TRUNCATE` and `COPY` in one transaction. Call [`sync`](Self::sync) after its end.
    pub fn start_to_fill(&self) -> Cluster {
        kept_cluster(&self.folder, self.port, self.core, &FILLING)
    }

    /// Waits until all files of a stopped cluster are on the disk.
    pub fn sync(&self) {
        let mut sync = as_owner("initdb");
        run(sync.args(["--sync-only", "--pgdata"]).arg(self.folder.join("data")).stdout(Stdio::null()));
    }

    /// Stops the server if it runs, and removes the files.
    pub fn remove(&self) {
        stop_if_running(&self.folder, "immediate");
        drop(fs::remove_dir_all(self.folder.join("data")));
    }

    /// The major version of the installed server, such as 17. Another version cannot use the files.
    pub fn version() -> u32 {
        let output = as_owner("initdb").arg("--version").output().expect("an installed server");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        major_version(&text).unwrap_or_else(|| panic!("not a version: {text}"))
    }
}

/// The number in a text such as `initdb (PostgreSQL) 17.5 (Debian 17.5-1)`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// The folder, or another one of the same name for an account that cannot enter it.
fn accessible(folder: &Path) -> PathBuf {
    let mut test = as_account(Path::new("test"));
    let is_accessible = test.arg("-w").arg(folder).status().is_ok_and(|status| status.success());
    if !is_root() || is_accessible {
        return folder.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    let own = Path::new(ELSEWHERE).join(format!("grantry-kept-{:016x}", hasher.finish()));
    create_own(&own);
    let cluster = own.join("cluster");
    create_folder(&cluster);
    cluster
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::DirBuilderExt as _;

    use super::*;

    #[test]
    fn the_major_version_is_that_of_the_server() {
        assert_eq!(major_version("initdb (PostgreSQL) 17.5 (Debian 17.5-1.pgdg12+1)\n"), Some(17));
        assert_eq!(major_version("initdb (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("initdb"), None);
    }

    #[test]
    fn the_account_of_the_server_can_enter_the_folder() {
        let closed = std::env::temp_dir().join(format!("grantry-test-closed-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let kept = KeptCluster::new(&closed.join("cluster"), 1, None);
        assert_eq!(kept.folder.starts_with(&closed), !is_root(), "{kept:?}");
        let entered = as_account(Path::new("test")).arg("-w").arg(&kept.folder).status().unwrap();
        assert!(entered.success(), "{kept:?}");
        // The next use has the same folder.
        assert_eq!(KeptCluster::new(&closed.join("cluster"), 1, None).folder, kept.folder);
        fs::remove_dir_all(&closed).unwrap();
        if is_root() {
            fs::remove_dir_all(kept.folder.parent().unwrap()).unwrap();
        }
    }

    /// The cores that a process may use, such as `0-1,4`.
    fn allowed_cores(process: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        allowed.trim().to_owned()
    }

    #[test]
    fn a_kept_cluster_is_durable_and_keeps_its_rows() {
        let folder = std::env::temp_dir().join(format!("grantry-test-kept-{}", std::process::id()));
        let core = allowed_cores("self").split(['-', ',']).next().unwrap().parse().unwrap();
        let kept = KeptCluster::new(&folder, grantry_test_ports::reserve(), Some(core));
        let value = |cluster: &Cluster, sql: &str| cluster.rows(sql)[0][0].clone().unwrap();
        let filling = kept.start_to_fill();
        assert_eq!(value(&filling, "SHOW fsync"), "off");
        filling.rows("CREATE TABLE kept AS SELECT 7 AS value");
        drop(filling);
        kept.sync();
        let running = kept.start();
        let settings = "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings \
             WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')";
        assert_eq!(value(&running, settings), "on on on");
        assert_eq!(value(&running, "SELECT value FROM kept"), "7");
        let allowed = allowed_cores(&running.process_id().to_string());
        assert_eq!(allowed, core.to_string());
        // A program that is killed leaves the server running.
        let first = running.process_id();
        std::mem::forget(running);
        let running = kept.start();
        assert_ne!(running.process_id(), first);
        assert_eq!(value(&running, "SELECT value FROM kept"), "7");
        drop(running);
        kept.remove();
        fs::remove_dir_all(folder).unwrap();
    }
}
