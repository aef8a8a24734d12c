//! `lectern doctor`: what is missing on this machine and how to get it.

use std::process::ExitCode;

use lectern_platform::{
    objects::{DiskObjects, Objects as _},
    queue,
};

use crate::{config::Config, doors, serve};

/// One thing looked at.
struct Finding {
    what: &'static str,
    result: Result<String, String>,
}

pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let mut findings =
        vec![database(config).await, objects(config).await, queue(config).await, vault(config)];
    findings.push(web());
    #[cfg(feature = "transcoder")]
    findings.push(media(config).await);
    let mut healthy = true;
    for finding in findings {
        match finding.result {
            Ok(detail) => println!("ok       {:10} {detail}", finding.what),
            Err(detail) => {
                healthy = false;
                println!("missing  {:10} {detail}", finding.what);
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn database(config: &Config) -> Finding {
    let result = async {
        let db = serve::open_database(config).await.map_err(|error| format!("{error:#}"))?;
        db.ping().await.map_err(|error| error.to_string())?;
        Ok(format!("{:?} answers", db.engine()))
    };
    Finding { what: "database", result: result.await }
}

/// What is usually wrong with a bucket.
const HINT: &str = "look at bucket, region and endpoint in objects.url and at AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY; the account needs s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, \
                    s3:AbortMultipartUpload, s3:ListMultipartUploadParts and s3:ListBucketMultipartUploads";

async fn objects(config: &Config) -> Finding {
    let result = async {
        if doors::are_in_s3(config) {
            let store = doors::open_objects(config).await.map_err(|error| format!("{error:#}"))?;
            store.check().await.map_err(|error| format!("{error}; {HINT}"))?;
            return Ok("the bucket answers and takes writes; to upload from pages of another host it needs CORS, see \
                       docs/api.md".to_owned());
        }
        let folder = config.objects_folder().map_err(|error| error.to_string())?;
        // Opening sweeps what a dead process left half written, which a running server's writes look like too.
        if folder.exists() {
            return Ok(folder.display().to_string());
        }
        let store = DiskObjects::open(folder.clone()).await.map_err(|error| error.to_string())?;
        store.check().await.map_err(|error| error.to_string())?;
        Ok(format!("{} (made)", folder.display()))
    };
    Finding { what: "objects", result: result.await }
}

async fn queue(config: &Config) -> Finding {
    let result = async {
        let queue = queue::open(&config.queue.url.0).await.map_err(|error| error.to_string())?;
        let waits = std::time::Duration::from_secs(5);
        match tokio::time::timeout(waits, queue.check()).await {
            Ok(Ok(())) if config.queue.url.exposed() == "local:" => Ok("within the process".to_owned()),
            Ok(Ok(())) => Ok("the broker answers".to_owned()),
            Ok(Err(error)) => Err(format!("{error}; look at host, account and vhost in queue.url")),
            Err(_) => Err("the broker does not answer; look at the host in queue.url".to_owned()),
        }
    };
    Finding { what: "queue", result: result.await }
}

fn vault(config: &Config) -> Finding {
    let result = serve::open_vault(config).map(|_| "the master key opens".to_owned());
    Finding { what: "vault", result: result.map_err(|error| format!("{error:#}")) }
}

fn web() -> Finding {
    let result = if crate::web::is_built() {
        Ok("built in".to_owned())
    } else {
        Err("this program was built without the browser application; run `make build`".to_owned())
    };
    Finding { what: "web", result }
}

/// Asks a media child for what transcoding needs, in the sandbox that jobs run in.
#[cfg(feature = "transcoder")]
async fn media(config: &Config) -> Finding {
    let result = async {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let sample = folder.path().join("sample.mp4");
        crate::demo::write_sample(&sample, 1).await.map_err(|error| {
            format!(
                "{error:#}; on Debian: apt-get install gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
                 gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav"
            )
        })?;
        let launch = crate::encode::launch(config, folder.path()).map_err(|error| error.to_string())?;
        let request = lectern_transcoder::child::Request::Probe { source: sample, trim: None };
        lectern_transcoder::child::run(
            &launch,
            &request,
            |_| {},
            &tokio_util::sync::CancellationToken::new(),
        )
        .await
        .map_err(|error| error.to_string())?;
        Ok("GStreamer encodes, and a sandboxed child reads what it made".to_owned())
    };
    Finding { what: "media", result: result.await }
}
