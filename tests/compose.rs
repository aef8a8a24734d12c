//! `infra/compose.yaml` and what it names, without an engine: settings that exist, roles that exist, images that are built,
//! and that what must be told is told.

mod harness;

use std::{
    collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration,
};

use harness::{LECTERN, eventually, installed};
use lectern_platform::{
    objects::{Objects as _, S3Credentials},
    testing::s3::S3Service,
};
use saphyr::{LoadableYamlNode as _, Yaml};

/// What `infra/new-env.sh` makes.
fn new_env(folder: &Path) -> BTreeMap<String, String> {
    let file = folder.join("env");
    let made = Command::new(installed("infra/new-env.sh")).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = Command::new(installed("infra/new-env.sh")).arg(&file).output().unwrap();
    assert!(!again.status.success(), "it replaced a master key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Compose's own `${NAME}`, `${NAME:-default}` and `${NAME:?message}`.
fn filled_in(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('}').expect("a variable ends");
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside.split(":?").next().unwrap(), None),
        };
        let value = env.get(name).cloned().or(default);
        filled += &value.unwrap_or_else(|| panic!("infra/new-env.sh does not make {name}"));
        filled += rest;
    }
    filled
}

fn read(path: &str) -> String {
    std::fs::read_to_string(installed(path)).unwrap()
}

/// A field of a mapping, also one that was merged in with `<<`.
fn field<'a>(of: &'a Yaml<'a>, name: &str) -> Option<&'a Yaml<'a>> {
    let named = |wanted: &str| {
        of.as_mapping()?.iter().find(|(key, _)| key.as_str() == Some(wanted)).map(|(_, value)| value)
    };
    named(name).or_else(|| field(named("<<")?, name))
}

fn words(list: &Yaml<'_>) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The variables of a service, with those that were merged in.
fn environment(of: &Yaml<'_>, env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(map) = of.as_mapping() else { return found };
    for (name, value) in map {
        if name.as_str() == Some("<<") {
            for (name, value) in environment(value, env) {
                found.entry(name).or_insert(value);
            }
        } else {
            let value = value.as_str().unwrap_or_else(|| panic!("{name:?}: write {value:?} in quotes"));
            found.insert(name.as_str().unwrap().to_owned(), filled_in(value, env));
        }
    }
    found
}

/// `lectern` with exactly these variables.
fn lectern(arguments: &[String], env: &BTreeMap<String, String>, folder: &Path) -> Result<String, String> {
    let output = Command::new(LECTERN)
        .args(arguments)
        .env_clear()
        .env("LECTERN__DATA_DIR", folder.join("data"))
        .envs(env)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_service_is_told_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let env = new_env(folder.path());
    let text = read("infra/compose.yaml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let compose = &documents[0];
    let services = field(compose, "services").unwrap();
    let dockerfile = read("infra/Dockerfile");
    let mut roles = Vec::new();
    for (name, service) in services.as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        for (other, _) in field(service, "depends_on").and_then(Yaml::as_mapping).into_iter().flatten() {
            assert!(
                field(services, other.as_str().unwrap()).is_some(),
                "{name} depends on nobody's {other:?}"
            );
        }
        for mount in field(service, "volumes").map(words).into_iter().flatten() {
            let from = mount.split(':').next().unwrap();
            if let Some(file) = from.strip_prefix("./") {
                installed(&format!("infra/{file}"));
            } else {
                let volumes = field(compose, "volumes").unwrap();
                assert!(field(volumes, from).is_some(), "{name}: no volume {from}");
            }
        }
        let Some(build) = field(service, "build") else { continue };
        let target = field(build, "target").unwrap().as_str().unwrap();
        assert!(
            dockerfile.contains(&format!(" AS {target}\n")),
            "{name}: no target {target} in the Dockerfile"
        );
        assert_eq!(field(build, "dockerfile").unwrap().as_str(), Some("infra/Dockerfile"));

        // The settings are settings, and arrive.
        let variables = environment(field(service, "environment").unwrap(), &env);
        let shown =
            lectern(&["config".into()], &variables, folder.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let shown: toml::Table = shown.parse().unwrap();
        assert!(shown["database"]["url"].as_str().unwrap().starts_with("postgres://lectern:"), "{name}");
        assert_eq!(shown["vault"]["master_key"].as_str(), Some("(redacted)"), "{name}");
        assert!(shown["objects"]["url"].as_str().unwrap().contains("endpoint=http://s3:3900"), "{name}");
        let printed = shown.to_string();
        for secret in ["MASTER_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"] {
            assert!(!printed.contains(&env[secret]), "{name}: lectern config prints {secret}");
        }

        // The command parses, with roles that this program knows: a role is judged before help is given.
        let mut command = words(field(service, "command").unwrap());
        command.push("--help".into());
        lectern(&command, &BTreeMap::new(), folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let list = command.iter().skip_while(|word| *word != "--roles").nth(1).unwrap();
        roles.extend(list.split(',').map(str::to_owned));
        assert!(target != "license" || list == "license-server", "{name} parses media beside keys");
    }
    roles.sort();
    assert_eq!(
        roles,
        ["api", "ingest", "license-server", "packager", "transcoder"],
        "each role is somewhere"
    );
    // What would make the checks above fail does.
    let wrong = ["serve", "--roles", "ingester", "--help"].map(str::to_owned);
    assert!(lectern(&wrong, &BTreeMap::new(), folder.path()).is_err());
    let unknown = BTreeMap::from([("LECTERN__HTTP__PORT".to_owned(), "1".to_owned())]);
    assert!(lectern(&["config".into()], &unknown, folder.path()).is_err());
}

#[test]
fn images_start_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = read("infra/Dockerfile");
    let mut commands = 0;
    let mut settings = BTreeMap::new();
    for line in dockerfile.lines().map(str::trim) {
        if let Some(command) = line.strip_prefix("CMD ") {
            let mut command: Vec<String> = serde_json::from_str(command).unwrap();
            command.push("--help".into());
            lectern(&command, &BTreeMap::new(), folder.path())
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            commands += 1;
        }
        for word in
            line.trim_start_matches("ENV ").split_whitespace().filter(|word| word.starts_with("LECTERN__"))
        {
            let (name, value) = word.split_once('=').unwrap();
            settings.insert(name.to_owned(), value.to_owned());
        }
        if let Some(copied) = line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--from")) {
            let mut paths: Vec<&str> = copied.split_whitespace().collect();
            paths.pop();
            for path in paths {
                installed(path);
            }
        }
    }
    assert_eq!((commands, settings.len()), (2, 3));
    lectern(&["config".into()], &settings, folder.path()).unwrap();
    assert!(dockerfile.contains(r#"ENTRYPOINT ["lectern"]"#));
}

#[test]
fn measurements_are_taken_from_services_that_exist() {
    let (text, compose) = (read("infra/prometheus.yml"), read("infra/compose.yaml"));
    let documents = Yaml::load_from_str(&text).unwrap();
    let compose = Yaml::load_from_str(&compose).unwrap();
    let services = field(&compose[0], "services").unwrap();
    let mut named = 0;
    for job in field(&documents[0], "scrape_configs").unwrap().as_sequence().unwrap() {
        let of = |kind: &str, list: &str| -> Vec<String> {
            let configs = field(job, kind).and_then(Yaml::as_sequence).into_iter().flatten();
            configs.flat_map(|config| words(field(config, list).unwrap())).collect()
        };
        let targets = of("dns_sd_configs", "names").into_iter().chain(of("static_configs", "targets"));
        for target in targets.filter(|target| !target.starts_with("localhost")) {
            let name = target.split(':').next().unwrap();
            assert!(field(services, name).is_some(), "there is no service {name}");
            named += 1;
        }
    }
    assert_eq!(named, 6);
}

/// A process that ends with its test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_starts_with_its_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let env = new_env(folder.path());
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (s3, rpc, admin) = (free(), free(), free());
    let mut settings = read("infra/garage/garage.toml");
    for (here, there) in [
        ("/var/lib/garage", folder.path().display().to_string()),
        ("0.0.0.0:3900", s3.to_string()),
        ("127.0.0.1:3901", rpc.to_string()),
        ("0.0.0.0:3903", admin.to_string()),
    ] {
        assert!(settings.contains(here), "garage.toml no longer says {here:?}");
        settings = settings.replace(here, &there);
    }
    let file = folder.path().join("garage.toml");
    std::fs::write(&file, settings).unwrap();

    let text = read("infra/compose.yaml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let service = field(field(&documents[0], "services").unwrap(), "s3").unwrap();
    let command = words(field(service, "command").unwrap());
    let variables = environment(field(service, "environment").unwrap(), &env);
    let image = field(service, "image").unwrap().as_str().unwrap();
    let version = image.strip_prefix("dxflrs/garage:v").unwrap();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"),
        std::path::PathBuf::from,
    );
    let program = cache.join(format!("lectern/garage-{version}/bin/garage"));
    assert!(program.exists(), "{} is missing: run `make test`, which builds it", program.display());
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new(program)
        .args(&command[1..])
        .env_clear()
        .env("GARAGE_CONFIG_FILE", &file)
        .envs(&variables)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let _running = Running(child);

    let service = S3Service {
        endpoint: format!("http://{s3}"),
        region: "garage".into(),
        credentials: S3Credentials {
            access_key: env["S3_ACCESS_KEY"].clone(),
            secret_key: env["S3_SECRET_KEY"].clone().into(),
        },
    };
    let objects = service.open(&variables["GARAGE_DEFAULT_BUCKET"]).await.unwrap();
    eventually("the bucket takes objects", Duration::from_secs(30), async || {
        objects.put("a/b", "c".into()).await.is_ok()
    })
    .await;
    assert_eq!(objects.get("a/b").await.unwrap().unwrap(), "c");

    // What the settings' service says with the AWS command line, said with the library under it.
    let settings = field(field(&documents[0], "services").unwrap(), "s3-settings").unwrap();
    let mut variables = environment(field(settings, "environment").unwrap(), &env);
    variables.insert("AWS_ENDPOINT_URL".into(), service.endpoint.clone());
    let said = "import boto3, json, os; s3 = boto3.client('s3'); \
        s3.put_bucket_cors(Bucket='lectern', CORSConfiguration=json.loads(os.environ['CORS'])); \
        s3.put_bucket_lifecycle_configuration(Bucket='lectern', LifecycleConfiguration=json.loads(os.environ['LIFECYCLE']))";
    let python = installed("tests/clients/.venv/bin/python");
    let output = Command::new(python).args(["-c", said]).envs(&variables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let preflight = |origin: &'static str| {
        let url = format!("{}/lectern/sources/x", service.endpoint);
        let ask = reqwest::Client::new().request(reqwest::Method::OPTIONS, url);
        ask.header("Origin", origin).header("Access-Control-Request-Method", "PUT").send()
    };
    assert!(preflight("http://localhost:8080").await.unwrap().status().is_success());
    assert!(!preflight("https://elsewhere.example").await.unwrap().status().is_success());
}
