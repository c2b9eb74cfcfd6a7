//! Starting and stopping clusters.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::database::run_at;

/// The account that runs the servers where the tests run as root, which they refuse.
pub(crate) const ACCOUNT: &str = "postgres";

/// The file with further settings of a private cluster.
const SETTINGS: &str = "settings";

/// Folders with the binaries of a server, the newest version first. Debian does not put them into `PATH`.
const FOLDERS: [&str; 7] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
    "/usr/lib/postgresql/13/bin",
    "/usr/local/pgsql/bin",
];

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The URL of a superuser, without a database.
    url: String,
    /// Where its files are; `None` for a cluster of the environment.
    folder: Option<PathBuf>,
    usage: Usage,
    /// Keeps the watchdog from stopping it.
    _lock: Option<File>,
}

/// Who uses a cluster, which decides what its end does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// Other programs use it as well. It stays.
    Shared,
    /// One test. Its files are removed.
    Private,
    /// A measurement. It is stopped, and its files stay.
    Kept,
}

impl Cluster {
    /// The cluster that the tests of a run share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("DATABASE_URL") {
            Ok(url) => {
                let base = url.split('?').next().unwrap_or(&url);
                let authority = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                Self { url: authority, folder: None, usage: Usage::Shared, _lock: None }
            }
            Err(_) => start_shared(),
        })
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.url)
    }

    /// The URL of a database for another role, which needs no password: the server must trust connections of this machine.
    pub fn url_of_role(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@{}/{database}", self.host())
    }

    /// The address of the server, as a URL has it: `127.0.0.1:5432`.
    pub fn host(&self) -> &str {
        let (_, host) = self.url.rsplit_once('@').expect("a role in the URL");
        host
    }

    /// Runs statements as a superuser. Returns the rows of all queries as text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        run_at(&self.url("postgres"), sql).expect("a valid statement")
    }

    /// Writes a file that only the account of a private cluster can read, as the server requires for a key.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.private().join(name);
        fs::write(&path, content).expect("a folder");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a file");
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(&path));
        }
    }

    /// The path of such a file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.private().join(name)
    }

    /// Adds settings of the server, as `name=value`, to those of the next start.
    pub fn set(&self, settings: &[&str]) {
        let path = self.private().join(SETTINGS);
        let present = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{present}{}\n", settings.join("\n"))).expect("a folder");
    }

    /// A standby that replicates a private cluster. The name of its replication is that of the parameter.
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let folder = private_folder();
        create_folder(&folder);
        let (host, port) = self.host().rsplit_once(':').expect("a port");
        let primary = format!("host={host} port={port} user=postgres application_name={name}");
        let mut backup = as_owner("pg_basebackup");
        backup.args(["--write-recovery-conf", "--no-sync", "--checkpoint", "fast", "--dbname", &primary, "--pgdata"]);
        run(backup.arg(folder.join("data")));
        let url = start(&folder);
        Self { url, folder: Some(folder), usage: Usage::Private, _lock: None }
    }

    /// Makes a standby a primary server, and waits until it accepts writes.
    pub fn promote(&self) {
        run(as_owner("pg_ctl").args(["promote", "--wait", "--silent", "--pgdata"]).arg(self.data()));
    }

    /// The id of the first process of the server, whose children are the others.
    pub fn process_id(&self) -> u32 {
        let folder = self.folder.as_deref().expect("a cluster that a program of this clone started");
        let file = fs::read_to_string(folder.join("data/postmaster.pid")).expect("a running server");
        file.lines().next().and_then(|id| id.parse().ok()).expect("the id of the process")
    }

    /// Kills all processes of a private cluster, which is not started again.
    pub fn kill(&self) {
        self.private();
        let server = self.process_id().to_string();
        let children = format!("/proc/{server}/task/{server}/children");
        let children = fs::read_to_string(children).expect("a running server");
        let all: Vec<_> = [server.as_str()].into_iter().chain(children.split_whitespace()).collect();
        // A child may have ended.
        let kill = Command::new("kill").arg("-KILL").args(&all).stderr(Stdio::null()).status();
        assert!(kill.is_ok(), "the program kill cannot be started");
        let deadline = Instant::now() + Duration::from_secs(10);
        while all.iter().any(|id| is_alive(id)) {
            assert!(Instant::now() < deadline, "a killed process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Another process may get the id.
        fs::remove_file(self.data().join("postmaster.pid")).expect("the file of a killed server");
    }

    fn private(&self) -> &Path {
        assert!(self.usage == Usage::Private, "only a private cluster is changed");
        self.folder.as_deref().expect("a private cluster")
    }

    /// Stops a private cluster and starts it again. `mode` is that of `pg_ctl stop`: `fast` or `immediate`.
    pub fn restart(&self, mode: &str) {
        self.stop(mode);
        self.start();
    }

    /// Stops a private cluster.
    pub fn stop(&self, mode: &str) {
        let data = self.data();
        run(as_owner("pg_ctl").args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"]).arg(data));
    }

    /// Starts a private cluster that was stopped.
    pub fn start(&self) {
        start(self.private());
    }

    fn data(&self) -> PathBuf {
        self.private().join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(folder) = &self.folder else { return };
        match self.usage {
            Usage::Shared => {}
            Usage::Private => {
                stop_if_running(folder, "immediate");
                drop(fs::remove_dir_all(folder));
            }
            Usage::Kept => stop_if_running(folder, "fast"),
        }
    }
}

/// A cluster that one test stops and starts. It ends with the value.
pub fn private_cluster() -> Cluster {
    let folder = private_folder();
    create(&folder);
    let url = start(&folder);
    Cluster { url, folder: Some(folder), usage: Usage::Private, _lock: None }
}

/// A folder that no other cluster has.
fn private_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("grantry-test-{}-{nanos}-{number}", std::process::id()))
}

/// A cluster in a folder whose files stay. `settings` are those that differ from the defaults of the server, as `name=value`.
pub(crate) fn kept_cluster(folder: &Path, port: u16, core: Option<usize>, settings: &[&str]) -> Cluster {
    if is_running(folder) {
        // Of a program that was killed. It may have other settings and run on other cores.
        stop_if_running(folder, "fast");
    }
    if !folder.join("data/PG_VERSION").exists() {
        create(folder);
    }
    let url = start_with(folder, port, core, settings);
    Cluster { url, folder: Some(folder.to_owned()), usage: Usage::Kept, _lock: None }
}

/// Stops the server of a cluster; does nothing if it is stopped already.
pub(crate) fn stop_if_running(cluster: &Path, mode: &str) {
    let mut stop = as_owner("pg_ctl");
    stop.args(["stop", "--wait", "--silent", "--timeout", "300", "--mode", mode, "--pgdata"]).arg(cluster.join("data"));
    drop(stop.stdout(Stdio::null()).stderr(Stdio::null()).status());
}

/// Whether a process runs. One that was killed stays as a zombie until its parent asks for its end.
fn is_alive(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Starts the shared cluster, or finds the one that another program started.
fn start_shared() -> Cluster {
    let folder = shared_folder();
    create_own(&folder);
    let open = |name| OpenOptions::new().create(true).append(true).open(folder.join(name)).expect("a lock file");
    // Only one program at a time starts or stops the cluster.
    let gate = open("gate");
    gate.lock().expect("a lock");
    let cluster = folder.join("cluster");
    let is_running = cluster.join("url").exists() && is_running(&cluster);
    let url = if is_running {
        fs::read_to_string(cluster.join("url")).expect("the URL of the cluster")
    } else {
        // What a run left behind that was killed. Its databases are not needed.
        drop(fs::remove_dir_all(&cluster));
        create(&cluster);
        let url = start(&cluster);
        fs::write(cluster.join("url"), &url).expect("the folder for temporary files can be written");
        watch(&folder, &cluster);
        url
    };
    let users = open("users");
    users.lock_shared().expect("a lock");
    Cluster { url, folder: Some(cluster), usage: Usage::Shared, _lock: Some(users) }
}

/// A folder for temporary files, of this clone. The account that runs the server can enter it; a clone can be in a folder that it
/// cannot enter, such as the home of root.
fn shared_folder() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    std::env::temp_dir().join(format!("grantry-test-postgres-{:016x}", hasher.finish()))
}

/// Creates a folder that no other account can change. Its name is predictable, so another account may have created it
/// before.
pub(crate) fn create_own(folder: &Path) {
    let created = DirBuilder::new().mode(0o711).create(folder);
    let is_there = created.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists);
    assert!(created.is_ok() || is_there, "the folder for temporary files cannot be written: {created:?}");
    let found = fs::symlink_metadata(folder).expect("a folder");
    let own = fs::metadata("/proc/self").expect("the process").uid();
    assert!(found.is_dir() && found.uid() == own, "{} belongs to another account", folder.display());
}

fn is_running(cluster: &Path) -> bool {
    let mut status = as_owner("pg_ctl");
    status.args(["status", "--silent", "--pgdata"]).arg(cluster.join("data"));
    status.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Creates the files of a cluster, which belong to the account that runs the server.
fn create(cluster: &Path) {
    let data = cluster.join("data");
    create_folder(cluster);
    let mut initdb = as_owner("initdb");
    initdb.args(["--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
    run(initdb.arg("--pgdata").arg(&data).stdout(Stdio::null()));
}

/// Creates a folder that belongs to the account that runs the servers.
pub(crate) fn create_folder(folder: &Path) {
    fs::create_dir_all(folder).expect("the folder for temporary files can be written");
    if is_root() {
        run(Command::new("chown").arg(ACCOUNT).arg(folder));
    }
}

/// Starts the server on a free port and returns its URL.
fn start(cluster: &Path) -> String {
    let port_file = cluster.join("port");
    let port =
        fs::read_to_string(&port_file).ok().and_then(|port| port.parse().ok()).unwrap_or_else(grantry_test_ports::reserve);
    fs::write(&port_file, port.to_string()).expect("a folder");
    // Data that survives a crash of the machine is not needed. Its durability costs most of the time of a test.
    let settings = [
        "fsync=off",
        "full_page_writes=off",
        "max_connections=400",
        "shared_buffers=64MB",
        "log_min_messages=fatal",
        "autovacuum=off",
    ];
    let more = fs::read_to_string(cluster.join(SETTINGS)).unwrap_or_default();
    let settings: Vec<_> = settings.into_iter().chain(more.lines()).collect();
    start_with(cluster, port, None, &settings)
}

/// Starts the server on a port, on one core if that is given, and returns its URL.
fn start_with(cluster: &Path, port: u16, core: Option<usize>, settings: &[&str]) -> String {
    let sockets = std::env::temp_dir();
    // Of two values of one setting, the last one counts.
    let mut options =
        format!("-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={}", sockets.display());
    for setting in settings {
        options.push_str(" -c ");
        options.push_str(setting);
    }
    let data = cluster.join("data");
    let mut start = as_owner("pg_ctl");
    start.args(["start", "--wait", "--silent", "--timeout", "60", "--log"]).arg(data.join("server.log"));
    start.arg("--pgdata").arg(&data).args(["--options", &options]);
    let mut start = match core {
        Some(core) => on_core(core, &start),
        None => start,
    };
    run(start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    format!("postgres://postgres@127.0.0.1:{port}")
}

/// The same command on one core. The processes that it starts inherit that.
fn on_core(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &core.to_string()]).arg(command.get_program()).args(command.get_args());
    pinned.current_dir(std::env::temp_dir());
    pinned
}

/// Starts a process that stops the cluster when no program uses it.
fn watch(folder: &Path, cluster: &Path) {
    // The inner lock is free when no program uses the cluster; the outer one keeps programs from starting to use it meanwhile.
    let stop = format!(
        "{} stop --silent --mode immediate --pgdata '{}'",
        shown(&as_owner("pg_ctl")),
        cluster.join("data").display()
    );
    let script = format!(
        "while sleep 5; do flock '{gate}' flock --nonblock '{users}' {stop} && exit; [ -e '{pid}' ] || exit; done",
        gate = folder.join("gate").display(),
        users = folder.join("users").display(),
        pid = cluster.join("data/postmaster.pid").display(),
    );
    let mut watchdog = Command::new("setsid");
    watchdog.args(["sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(watchdog.spawn().expect("the programs setsid and flock of util-linux"));
}

/// A program of the server, run by the account that may run it.
pub(crate) fn as_owner(program: &str) -> Command {
    let path = FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    let path = path.unwrap_or_else(|| {
        panic!(
            "PostgreSQL is not installed, which these tests need. On Debian: apt-get install postgresql. With DATABASE_URL, only \
             the tests need it that stop a server"
        )
    });
    as_account(&path)
}

/// A program, run by the account that runs the servers.
pub(crate) fn as_account(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", ACCOUNT, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The server cannot enter the folder of the caller.
    command.current_dir(std::env::temp_dir());
    command
}

/// A command as words of a shell. None of them contains a space.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn is_root() -> bool {
    static IS_ROOT: OnceLock<bool> = OnceLock::new();
    *IS_ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
    })
}

pub(crate) fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}
