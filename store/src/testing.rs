//! A fresh, migrated database on each engine, for tests of this crate and of those above it (feature `testing`).

use std::{panic::resume_unwind, pin::Pin, str::FromStr as _};

use lectern_domain::{Timestamp, ids::ProcessId, job::JobKind};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::PgConnectOptions,
};
use time::Duration;
use tokio::task::JoinError;
use uuid::Uuid;

use crate::{
    Db, Error,
    jobs::{self, Job},
    statement::Statement,
    value::args,
};

/// Where tests look for PostgreSQL. The account must be allowed to create databases.
pub const POSTGRES_URL_VARIABLE: &str = "LECTERN_TEST_POSTGRES_URL";
const POSTGRES_URL: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// Runs a test on a fresh SQLite file, then on a fresh PostgreSQL database; both are gone afterwards, whatever
/// happened. A missing PostgreSQL fails the test: a suite that skips it silently proves nothing about it.
pub async fn on_both_engines<F, Fut>(test: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    on_sqlite(|db| Box::pin(test(db))).await;
    on_postgres(|db| Box::pin(test(db))).await;
}

type Test = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a test on a fresh SQLite file alone.
pub async fn on_sqlite(test: impl FnOnce(Db) -> Test) {
    let folder = tempfile::tempdir().expect("the system gives a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    report(run(&url, "sqlite", true, test).await, "sqlite");
}

/// Runs a test on a fresh PostgreSQL database alone.
pub async fn on_postgres(test: impl FnOnce(Db) -> Test) {
    on_a_database(true, |_, db| test(db)).await;
}

/// The same of a database that nobody migrated, with its URL: for tests of whole programs.
pub async fn on_postgres_at(test: impl FnOnce(String, Db) -> Test) {
    on_a_database(false, test).await;
}

/// As many as a process with every role would have at least.
const CONNECTIONS: u32 = 16;

async fn on_a_database(migrate: bool, test: impl FnOnce(String, Db) -> Test) {
    let url = std::env::var(POSTGRES_URL_VARIABLE).unwrap_or_else(|_| POSTGRES_URL.to_owned());
    let server = PgConnectOptions::from_str(&url)
        .unwrap_or_else(|error| panic!("{POSTGRES_URL_VARIABLE}: expected a postgres:// URL: {error}"));
    let name = format!("lectern_test_{}", Uuid::from_bytes(rand::random()).simple());
    // template0: nobody can be connected to it, so that databases can be made at the same time.
    change(&server, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    let url = server.clone().database(&name).to_url_lossy().to_string();
    let outcome = run(&url, "postgres", migrate, |db| test(url.clone(), db)).await;
    change(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    report(outcome, "postgres");
}

const CLAIM: Statement = Statement::split(
    "testing::claim",
    concat!(
        "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, lease_expires_at = $2, \
         updated_at = $3 WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND run_after <= $3 AND kind IN \
         (SELECT value FROM json_each($4)) ORDER BY priority DESC, turn, id LIMIT 1) RETURNING ",
        jobs::job!()
    ),
    concat!(
        "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, lease_expires_at = $2, \
         updated_at = $3 WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND run_after <= $3 AND kind IN \
         (SELECT jsonb_array_elements_text($4)) ORDER BY priority DESC, turn, id LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING ",
        jobs::job!()
    ),
);

/// Claims the most urgent job of these kinds, as [`jobs::claim`] does of classes.
pub async fn claim(
    db: &Db,
    owner: ProcessId,
    kinds: &[JobKind],
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Job>, Error> {
    let kinds: serde_json::Value = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().into();
    let mut tx = db.begin().await?;
    let job: Option<Job> = tx.fetch_optional(CLAIM, args![owner, now + lease, now, kinds]).await?;
    if let Some(job) = &job {
        jobs::tell(&mut tx, job.id, job.attempt, "claimed", &owner.to_string(), now).await?;
    }
    tx.commit().await?;
    Ok(job)
}

/// Runs a statement of the test's own: for faults and clocks that no function of this crate makes.
pub async fn execute(db: &Db, sql: &'static str) -> Result<u64, Error> {
    db.execute(Statement::both("testing::execute", sql), Vec::new()).await
}

async fn run(url: &str, engine: &str, migrate: bool, test: impl FnOnce(Db) -> Test) -> Result<(), JoinError> {
    let db = Db::open_with(url, CONNECTIONS)
        .await
        .unwrap_or_else(|error| panic!("open a test database on {engine}: {error}"));
    if migrate {
        db.migrate().await.unwrap_or_else(|error| panic!("migrate a test database on {engine}: {error}"));
    }
    // Spawned, so that what was made is cleared away after a panic too.
    let outcome = tokio::spawn(test(db.clone())).await;
    if outcome.is_ok() {
        db.close().await;
    }
    outcome
}

fn report(outcome: Result<(), JoinError>, engine: &str) {
    if let Err(error) = outcome {
        // The panic itself is already printed; this says where it happened.
        eprintln!("the test failed on {engine}");
        resume_unwind(error.into_panic());
    }
}

async fn change(server: &PgConnectOptions, sql: String) {
    let mut connection = PgConnection::connect_with(server).await.unwrap_or_else(|error| {
        panic!(
            "these tests need PostgreSQL and none answers: run `make test`, or in this shell \
             eval \"$(infra/test-services.sh start)\" ({error})"
        )
    });
    connection.execute(AssertSqlSafe(sql)).await.expect("the test account may create and drop databases");
    let _ = connection.close().await;
}
