//! nginx as `infra/edge` sets it up.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{eventually, installed};

/// A running nginx.
pub struct Edge {
    pub url: String,
    pub port: u16,
    folder: PathBuf,
    child: Child,
}

impl Edge {
    /// The configuration as it is, with the addresses and folders of this machine.
    pub async fn start(folder: &Path, api: &str, license_server: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder.join("edge");
        std::fs::create_dir(&folder).unwrap();
        let mut conf = std::fs::read_to_string(installed("infra/edge/nginx.conf")).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        for (here, there) in [
            ("listen 8080", format!("listen 127.0.0.1:{port}")),
            ("http://api:8080", api.to_owned()),
            ("http://license-server:8080", license_server.to_owned()),
            ("/tmp/nginx", at("nginx")),
            ("/var/cache/nginx", at("cache")),
            ("/dev/stdout", at("access.log")),
            ("error_log stderr", format!("error_log {}", at("error.log"))),
        ] {
            assert!(conf.contains(here), "nginx.conf no longer says {here:?}");
            conf = conf.replace(here, &there);
        }
        std::fs::create_dir(folder.join("cache")).unwrap();
        std::fs::write(folder.join("nginx.conf"), conf).unwrap();
        // Debian's nginx would give its work to a user who may not look into this folder.
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let nginx = nginx.into_iter().find(|path| Path::new(path).exists());
        let nginx = nginx.expect("nginx is missing: run `make test`, which installs it");
        let arguments =
            ["-p", &at(""), "-c", &at("nginx.conf"), "-g", &format!("daemon off; {user}")].map(str::to_owned);
        let test = Command::new(nginx).arg("-t").args(&arguments).output().unwrap();
        assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stderr));
        let child = Command::new(nginx).args(&arguments).stdin(Stdio::null()).spawn().unwrap();
        let edge = Self { url: format!("http://127.0.0.1:{port}"), port, folder, child };
        let alive = format!("{}/edge/livez", edge.url);
        eventually("nginx answers", Duration::from_secs(10), async || reqwest::get(&alive).await.is_ok())
            .await;
        edge
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // SIGTERM: nginx ends its workers, which SIGKILL would leave behind.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("nginx says:\n{}", self.log("error.log"));
        }
    }
}
