//! A deployment of many processes on servers of its own, with a proxy for faults before each of these.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use lectern_platform::{
    objects::{Objects as _, S3Objects},
    queue::{self, SharedQueue},
    testing::{FaultProxy, s3::S3Service},
};
use lectern_store::Db;
use secrecy::SecretString;

use super::Server;

/// PostgreSQL, RabbitMQ and Garage that nobody else uses.
pub struct Services {
    variables: HashMap<String, String>,
}

fn script(arguments: &[&str], variables: &HashMap<String, String>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/test-services.sh");
    // What the run around this test uses is not for it.
    let output = Command::new(path)
        .args(arguments)
        .env_remove("LECTERN_TEST_SERVICES")
        .env_remove("LECTERN_TEST_POSTGRES_URL")
        .envs(variables)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "test-services.sh {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

impl Services {
    /// `variables` are for the script that starts them.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let variables: HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let starting = tokio::task::spawn_blocking(move || script(&["start", "own"], &variables));
        let exports = starting.await.unwrap();
        let assignments = exports.lines().flat_map(|line| line.trim_start_matches("export ").split(' '));
        let variables = assignments
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        Self { variables }
    }

    fn get(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// Kills `postgres` or `rabbitmq` and starts it again.
    pub async fn restart(&self, name: &'static str) {
        let variables = self.variables.clone();
        tokio::task::spawn_blocking(move || script(&["restart", name], &variables)).await.unwrap();
    }

    fn s3(&self) -> S3Service {
        S3Service {
            endpoint: self.get("LECTERN_TEST_S3_ENDPOINT").to_owned(),
            region: self.get("LECTERN_TEST_S3_REGION").to_owned(),
            credentials: lectern_platform::objects::S3Credentials {
                access_key: self.get("LECTERN_TEST_S3_ACCESS_KEY").to_owned(),
                secret_key: self.get("LECTERN_TEST_S3_SECRET_KEY").to_owned().into(),
            },
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        script(&["stop"], &self.variables);
    }
}

/// A process to start.
#[derive(Clone, Copy)]
pub struct Process {
    pub name: &'static str,
    pub roles: &'static str,
    /// The one core that it may use; all if absent.
    pub core: Option<usize>,
}

/// api with ingest, two transcoders, a packager, a license server.
pub const EACH_BY_ITSELF: [Process; 5] = {
    const fn process(name: &'static str, roles: &'static str) -> Process {
        Process { name, roles, core: None }
    }
    [
        process("api", "api,ingest"),
        process("transcoder-1", "transcoder"),
        process("transcoder-2", "transcoder"),
        process("packager", "packager"),
        process("license-server", "license-server"),
    ]
};

/// One process, started again whenever it ends.
pub struct Node {
    pub name: &'static str,
    pub url: String,
    server: Arc<Mutex<Server>>,
    ends: Arc<Mutex<Vec<String>>>,
    supervisor: tokio::task::AbortHandle,
}

impl Node {
    fn start(folder: &Path, of: Process, settings: &[(&str, &str)]) -> Self {
        let Process { name, roles, core } = of;
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Server::new(&folder, roles, settings);
        server.core = core;
        let url = server.url.clone();
        let server = Arc::new(Mutex::new(server));
        let ends = Arc::new(Mutex::new(Vec::new()));
        let supervisor = tokio::spawn({
            let (server, ends) = (server.clone(), ends.clone());
            async move {
                loop {
                    let end = {
                        let mut server = server.lock().unwrap();
                        let end = server.ended();
                        if server.pid().is_none() {
                            server.spawn();
                        }
                        end
                    };
                    if let Some(end) = end {
                        ends.lock().unwrap().push(end.to_string());
                    }
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        });
        Self { name, url, server, ends, supervisor: supervisor.abort_handle() }
    }

    /// SIGKILL; it comes back by itself.
    pub fn kill(&self) {
        if let Some(pid) = self.server.lock().unwrap().pid().and_then(|pid| i32::try_from(pid).ok()) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// The process's number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.lock().unwrap().pid()
    }

    /// How it ended, each time.
    pub fn ends(&self) -> Vec<String> {
        self.ends.lock().unwrap().clone()
    }

    pub fn log(&self) -> String {
        self.server.lock().unwrap().log()
    }

    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.url);
        super::eventually(&format!("{} is ready", self.name), Duration::from_mins(1), async || {
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.supervisor.abort();
        self.server.lock().unwrap().kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            eprintln!("the last lines of {}:", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Processes on services.
pub struct Topology {
    pub nodes: Vec<Node>,
    pub postgres: FaultProxy,
    pub rabbitmq: FaultProxy,
    pub s3: FaultProxy,
    /// Past the proxies, for looking.
    pub db: Db,
    pub queue: SharedQueue,
    pub objects: S3Objects,
    // After the processes and what looks.
    pub services: Services,
    _folder: PathBuf,
}

impl Topology {
    /// Starts [`EACH_BY_ITSELF`] in a folder; `settings` for every process.
    pub async fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_on(Services::start(&[]).await, folder, &EACH_BY_ITSELF, settings).await
    }

    /// Other processes, on services that run already.
    pub async fn start_on(
        services: Services,
        folder: &Path,
        processes: &[Process],
        settings: &[(&str, &str)],
    ) -> Self {
        let address = |url: &str| {
            let url = url::Url::parse(url).unwrap();
            format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
        };
        let (database, broker) =
            (services.get("LECTERN_TEST_POSTGRES_URL"), services.get("LECTERN_TEST_AMQP_URL"));
        let postgres = FaultProxy::start(address(database)).await;
        let rabbitmq = FaultProxy::start(address(broker)).await;
        let s3 = FaultProxy::start(services.s3().address()).await;

        let bucket = services.s3().make_bucket().await;
        let through = |url: &str, proxy: &FaultProxy| {
            let mut url = url::Url::parse(url).unwrap();
            url.set_port(Some(proxy.address().port())).unwrap();
            url.to_string()
        };
        let key = "bGVjdGVybiB0ZXN0cyBoYXZlIG5vIHNlY3JldHMgISE=";
        let (database_url, queue_url) = (through(database, &postgres), through(broker, &rabbitmq));
        let objects_url = services.s3().at(s3.address()).url(&bucket, "");
        let mut all: Vec<(&str, &str)> = vec![
            ("LECTERN__DATABASE__URL", &database_url),
            ("LECTERN__QUEUE__URL", &queue_url),
            ("LECTERN__OBJECTS__URL", &objects_url),
            ("LECTERN__VAULT__MASTER_KEY", key),
            ("LECTERN__ACCOUNTS__ACCESS_TOKEN_MINUTES", "600"),
            ("LECTERN__TRANSCODE__SLOTS", "1"),
            ("AWS_ACCESS_KEY_ID", services.get("LECTERN_TEST_S3_ACCESS_KEY")),
            ("AWS_SECRET_ACCESS_KEY", services.get("LECTERN_TEST_S3_SECRET_KEY")),
        ];
        all.extend_from_slice(settings);
        let nodes: Vec<Node> = processes.iter().map(|process| Node::start(folder, *process, &all)).collect();
        let db = Db::open(database).await.unwrap();
        let queue = queue::open(&SecretString::from(broker)).await.unwrap();
        let objects = services.s3().open(&bucket).await.unwrap();
        let topology =
            Self { nodes, postgres, rabbitmq, s3, db, queue, objects, services, _folder: folder.into() };
        for node in &topology.nodes {
            node.ready().await;
        }
        topology
    }

    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    /// Storage keys under a prefix.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        self.objects.list(prefix).await.unwrap()
    }

    /// Copies a package to a folder, as an embedded server would have it.
    pub async fn copy_package(&self, asset: &str, data: &Path) {
        for key in self.keys(&format!("packages/{asset}/")).await {
            let to = data.join("objects").join(&key);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, self.objects.get(&key).await.unwrap().unwrap()).unwrap();
        }
    }
}
