//! A client of the public API, as far as the demo needs one.

use std::path::Path;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

/// Bytes of one tus PATCH: small enough to show progress, large enough not to notice.
const UPLOAD_PART_BYTES: usize = 4 << 20;

/// Somebody who uses a Lectern.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    access_token: String,
}

impl Client {
    /// Nobody yet.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_mins(1)).build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), access_token: String::new() })
    }

    /// Makes an account and goes on as it.
    pub(crate) async fn register(
        &mut self,
        name: &str,
        email: &str,
        password: &str,
        role: &str,
    ) -> anyhow::Result<()> {
        let body = json!({"name": name, "email": email, "password": password, "role": role});
        let session = self.post("/api/v1/auth/register", body).await?;
        session["access_token"]
            .as_str()
            .context("the session has no access token")?
            .clone_into(&mut self.access_token);
        Ok(())
    }

    /// The same person, at another address of the deployment.
    #[allow(dead_code, reason = "the tests' use")]
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { http: self.http.clone(), url: url.into(), access_token: self.access_token.clone() }
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.access_token
    }

    /// An absolute URL for what an answer names.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.http.request(method.clone(), self.absolute(path));
        if !self.access_token.is_empty() {
            request = request.bearer_auth(&self.access_token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let bytes = response.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn expect(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.send(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status} {}: {}", answer["code"], answer["detail"]);
        }
        Ok(answer)
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn try_post(&self, path: &str, body: Value) -> anyhow::Result<(StatusCode, Value)> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.expect(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::DELETE, path, None).await
    }

    /// Uploads a file for a lesson over tus 1.0. The asset's id.
    pub(crate) async fn upload(
        &self,
        lesson: &str,
        file: &Path,
        progress: impl Fn(u64),
    ) -> anyhow::Result<String> {
        self.upload_with(lesson, file, &[], progress).await
    }

    /// The same with more metadata.
    pub(crate) async fn upload_with(
        &self,
        lesson: &str,
        file: &Path,
        more: &[(&str, &str)],
        progress: impl Fn(u64),
    ) -> anyhow::Result<String> {
        let length = tokio::fs::metadata(file).await?.len();
        let name =
            file.file_name().and_then(|name| name.to_str()).context("the file has no readable name")?;
        let pairs = [("filename", name), ("filetype", "video/mp4"), ("lesson_id", lesson)];
        let pairs = pairs.iter().chain(more).map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
        let metadata = pairs.collect::<Vec<_>>().join(",");
        let created = self
            .tus(Method::POST, "/uploads")
            .header("Upload-Length", length)
            .header("Upload-Metadata", metadata)
            .send()
            .await?;
        let created = expect_status(created, StatusCode::CREATED).await?;
        let header = |name: &str| {
            let value = created.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned).with_context(|| format!("the upload was created without {name}"))
        };
        let (location, asset) = (header("location")?, header("lectern-asset-id")?);
        let mut source = tokio::fs::File::open(file).await?;
        let mut offset = 0;
        while offset < length {
            let mut part = vec![0; UPLOAD_PART_BYTES.min((length - offset) as usize)];
            source.read_exact(&mut part).await?;
            let sent = self
                .tus(Method::PATCH, &location)
                .header("Upload-Offset", offset)
                .header(header::CONTENT_TYPE, "application/offset+octet-stream")
                .body(part)
                .send()
                .await?;
            let sent = expect_status(sent, StatusCode::NO_CONTENT).await?;
            offset = sent
                .headers()
                .get("upload-offset")
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .context("a part was taken without Upload-Offset")?;
            progress(offset);
        }
        Ok(asset)
    }

    fn tus(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.absolute(path))
            .bearer_auth(&self.access_token)
            .header("Tus-Resumable", "1.0.0")
    }

    /// A public object: a playlist or a segment.
    pub(crate) async fn media(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        let response = expect_status(self.http.get(url).send().await?, StatusCode::OK).await?;
        Ok(response.bytes().await?.to_vec())
    }

    /// Asks for a content key. The status, and the problem's code where it was refused.
    pub(crate) async fn key(&self, path: &str, token: Option<&str>) -> anyhow::Result<(StatusCode, Value)> {
        let response = self.ask_key(path, token).await?;
        let status = response.status();
        let problem: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
        Ok((status, problem["code"].clone()))
    }

    /// The content key itself.
    pub(crate) async fn content_key(&self, path: &str, token: &str) -> anyhow::Result<[u8; 16]> {
        let response = expect_status(self.ask_key(path, Some(token)).await?, StatusCode::OK).await?;
        let bytes = response.bytes().await?;
        bytes.as_ref().try_into().with_context(|| format!("expected a key of 16 bytes, got {}", bytes.len()))
    }

    async fn ask_key(&self, path: &str, token: Option<&str>) -> anyhow::Result<Response> {
        let mut request = self.http.get(self.absolute(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?)
    }
}

async fn expect_status(response: Response, expected: StatusCode) -> anyhow::Result<Response> {
    if response.status() == expected {
        return Ok(response);
    }
    let (status, url) = (response.status(), response.url().path().to_owned());
    let problem: Value = response.json().await.unwrap_or(Value::Null);
    bail!("{url}: expected {expected}, got {status} {} {}", problem["code"], problem["detail"])
}
