//! The facade over both engines: open, migrate, run a statement, run several in a transaction.
//!
//! SQLite: one file in WAL mode, one connection that writes and a few that read. PostgreSQL: a pool, whose server ends what
//! takes too long, and a few tries for what failed because the server was away or two transactions met.

use std::{str::FromStr as _, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Error,
    row::{FromRow, Row},
    statement::Statement,
    value::Value,
};

/// Connections to PostgreSQL of who does a few things and ends.
const CONNECTIONS: u32 = 4;
/// PostgreSQL ends statements, waits for locks, and transactions that nobody goes on with after these times. Every statement
/// here looks rows up by a key or walks an index in its order. A bitmap of an index, which the planner prefers for the queue of jobs,
/// visits what was dequeued before each time; a walk remembers that it is gone.
const SESSION: [(&str, &str); 4] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "20s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("enable_bitmapscan", "off"),
];
/// How long an answer is waited for: longer than the server would work, so that only a connection that is half open, or a
/// server that is gone, comes to it.
const PATIENCE: Duration = Duration::from_secs(40);
/// A connection that was used within this time is taken to be alive.
const FRESH: Duration = Duration::from_secs(2);

/// Waits for PostgreSQL, but not for ever.
async fn within<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "PostgreSQL gave no answer in time");
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(sqlx::Error::Io(late())))
}

/// A few tries within some seconds: as long as a restart or a failover of a server takes.
fn tries() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(8)
        .with_jitter()
}

/// Whether a statement outside of a transaction, or the beginning of one, may be tried again. One that changes something
/// only when it surely was not carried out: the server said so, or it never got there.
fn may_try_again(error: &sqlx::Error, only_reads: bool) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            // serialization_failure, deadlock_detected, admin_shutdown, crash_shutdown, cannot_connect_now.
            error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "57P01" | "57P02" | "57P03"))
        }
        sqlx::Error::Io(error) => {
            let refused = matches!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            refused || (only_reads && error.kind() != std::io::ErrorKind::TimedOut)
        }
        _ => false,
    }
}

/// Which engine is behind a [`Db`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, one process.
    Sqlite,
    /// A server, many processes.
    Postgres,
}

#[derive(Clone)]
enum Pool {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

/// A database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("engine", &self.engine()).finish()
    }
}

impl Db {
    /// Opens `sqlite:PATH` (made if missing) or `postgres://…`. Does not migrate.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, CONNECTIONS).await
    }

    /// The same, with at most so many connections to PostgreSQL.
    pub async fn open_with(url: &str, connections: u32) -> Result<Self, Error> {
        let scheme = url.split(':').next().unwrap_or_default();
        let pool = match scheme {
            "sqlite" => {
                let fail = |source| Error::Connection { action: "open sqlite", source };
                let options = SqliteConnectOptions::from_str(url)
                    .map_err(fail)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // What was acknowledged survives a power cut, not only a crash of the process.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(10));
                // A connection to a file does not go away: asking it before each use only costs.
                let writer = SqlitePoolOptions::new()
                    .max_connections(1)
                    .test_before_acquire(false)
                    .connect_with(options.clone())
                    .await
                    .map_err(fail)?;
                let readers = SqlitePoolOptions::new()
                    .max_connections(4)
                    .test_before_acquire(false)
                    .connect_with(options.read_only(true))
                    .await
                    .map_err(fail)?;
                Pool::Sqlite { writer, readers }
            }
            "postgres" | "postgresql" => {
                let fail = |source| Error::Connection { action: "open postgres", source };
                let options = PgConnectOptions::from_str(url).map_err(fail)?.options(SESSION);
                let pool = PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(Duration::from_secs(10))
                    // Instead of asking before each use: only one that has been idle may have died unseen.
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(async move {
                            use sqlx::Connection as _;
                            if meta.idle_for > FRESH {
                                connection.ping().await?;
                            }
                            Ok(true)
                        })
                    });
                let connect = || pool.clone().connect_with(options.clone());
                let pool = connect.retry(tries()).when(|error| may_try_again(error, true)).await;
                Pool::Postgres(pool.map_err(fail)?)
            }
            other => return Err(Error::UnknownEngine(other.to_owned())),
        };
        Ok(Self { pool })
    }

    /// Which engine this is.
    pub const fn engine(&self) -> Engine {
        match self.pool {
            Pool::Sqlite { .. } => Engine::Sqlite,
            Pool::Postgres(_) => Engine::Postgres,
        }
    }

    /// Brings the schema up to date. Safe to call by several processes at once, while others work on the schema before.
    ///
    /// On PostgreSQL a schema may be newer than this program: during a rolling upgrade processes of both versions start and
    /// end beside each other, so a migration only adds what the version before can ignore.
    pub async fn migrate(&self) -> Result<(), Error> {
        match &self.pool {
            Pool::Sqlite { writer, .. } => sqlx::migrate!("migrations/sqlite").run(writer).await?,
            Pool::Postgres(pool) => {
                use sqlx::{ConnectOptions as _, Connection as _};
                // A large table takes its time; what is waited for meanwhile is not for ever.
                let options = pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
                let fail = |source| Error::Connection { action: "open postgres", source };
                let mut connection = options.connect().await.map_err(fail)?;
                let mut migrations = sqlx::migrate!("migrations/postgres");
                migrations.set_ignore_missing(true);
                migrations.run(&mut connection).await?;
                let _ = connection.close().await;
            }
        }
        Ok(())
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Asks the engine for nothing, to see whether it answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let fail = |source| Error::Connection { action: "ping", source };
        match &self.pool {
            Pool::Sqlite { readers, .. } => {
                sqlx::query("SELECT 1").execute(readers).await.map(drop).map_err(fail)
            }
            Pool::Postgres(pool) => {
                within(sqlx::query("SELECT 1").execute(pool)).await.map(drop).map_err(fail)
            }
        }
    }

    /// Prepares a statement without running it: the check that its text fits the schema.
    #[doc(hidden)]
    pub async fn prepare(&self, statement: Statement) -> Result<(), Error> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        let fail = |source| Error::Statement { statement: statement.name, source };
        match &self.pool {
            Pool::Sqlite { writer, .. } => {
                let mut connection = writer.acquire().await.map_err(fail)?;
                (*connection).prepare(statement.sqlite.into_sql_str()).await.map(drop).map_err(fail)
            }
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(fail)?;
                (*connection).prepare(statement.postgres.into_sql_str()).await.map(drop).map_err(fail)
            }
        }
    }

    /// Begins a transaction. On SQLite it takes the write lock at once, so it never fails half way for want of it.
    pub async fn begin(&self) -> Result<Tx, Error> {
        let fail = |source| Error::Connection { action: "begin", source };
        Ok(match &self.pool {
            Pool::Sqlite { writer, .. } => {
                Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?)
            }
            Pool::Postgres(pool) => {
                let begin = || within(pool.begin());
                // Nothing has been done yet.
                let begun = begin.retry(tries()).when(|error| may_try_again(error, true)).await;
                Tx::Postgres(begun.map_err(fail)?)
            }
        })
    }

    pub(crate) async fn execute(&self, statement: Statement, args: Vec<Value>) -> Result<u64, Error> {
        let fail = |source| Error::Statement { statement: statement.name, source };
        match &self.pool {
            Pool::Sqlite { writer, .. } => {
                let query = args.into_iter().fold(sqlx::query(statement.sqlite), |q, v| v.bind_sqlite(q));
                query.execute(writer).await.map(|done| done.rows_affected()).map_err(fail)
            }
            Pool::Postgres(pool) => {
                let once = || {
                    let query = sqlx::query(statement.postgres);
                    let query = args.iter().cloned().fold(query, |query, value| value.bind_postgres(query));
                    within(query.execute(pool))
                };
                let done =
                    once.retry(tries()).when(|error| may_try_again(error, statement.only_reads())).await;
                done.map(|done| done.rows_affected()).map_err(fail)
            }
        }
    }

    pub(crate) async fn fetch_all<T: FromRow>(
        &self,
        statement: Statement,
        args: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let fail = |source| Error::Statement { statement: statement.name, source };
        match &self.pool {
            Pool::Sqlite { writer, readers } => {
                let pool = if statement.only_reads() { readers } else { writer };
                let query = args.into_iter().fold(sqlx::query(statement.sqlite), |q, v| v.bind_sqlite(q));
                let rows = query.fetch_all(pool).await.map_err(fail)?;
                rows.into_iter().map(|row| T::from_row(&Row::Sqlite(row))).collect()
            }
            Pool::Postgres(pool) => {
                let once = || {
                    let query = sqlx::query(statement.postgres);
                    let query = args.iter().cloned().fold(query, |query, value| value.bind_postgres(query));
                    within(query.fetch_all(pool))
                };
                let found =
                    once.retry(tries()).when(|error| may_try_again(error, statement.only_reads())).await;
                let rows = found.map_err(fail)?;
                rows.into_iter().map(|row| T::from_row(&Row::Postgres(row))).collect()
            }
        }
    }

    pub(crate) async fn fetch_optional<T: FromRow>(
        &self,
        statement: Statement,
        args: Vec<Value>,
    ) -> Result<Option<T>, Error> {
        Ok(self.fetch_all(statement, args).await?.into_iter().next())
    }
}

/// A transaction. Dropped without [`Tx::commit`] it is rolled back.
pub enum Tx {
    #[doc(hidden)]
    Sqlite(Transaction<'static, Sqlite>),
    #[doc(hidden)]
    Postgres(Transaction<'static, Postgres>),
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

impl Tx {
    /// Makes everything done in the transaction durable and visible at once.
    pub async fn commit(self) -> Result<(), Error> {
        let fail = |source| Error::Connection { action: "commit", source };
        match self {
            Self::Sqlite(tx) => tx.commit().await.map_err(fail),
            Self::Postgres(tx) => within(tx.commit()).await.map_err(fail),
        }
    }

    pub(crate) async fn execute(&mut self, statement: Statement, args: Vec<Value>) -> Result<u64, Error> {
        let fail = |source| Error::Statement { statement: statement.name, source };
        match self {
            Self::Sqlite(tx) => {
                let query = args.into_iter().fold(sqlx::query(statement.sqlite), |q, v| v.bind_sqlite(q));
                query.execute(&mut **tx).await.map(|done| done.rows_affected()).map_err(fail)
            }
            Self::Postgres(tx) => {
                let query = args.into_iter().fold(sqlx::query(statement.postgres), |q, v| v.bind_postgres(q));
                within(query.execute(&mut **tx)).await.map(|done| done.rows_affected()).map_err(fail)
            }
        }
    }

    pub(crate) async fn fetch_all<T: FromRow>(
        &mut self,
        statement: Statement,
        args: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let fail = |source| Error::Statement { statement: statement.name, source };
        match self {
            Self::Sqlite(tx) => {
                let query = args.into_iter().fold(sqlx::query(statement.sqlite), |q, v| v.bind_sqlite(q));
                let rows = query.fetch_all(&mut **tx).await.map_err(fail)?;
                rows.into_iter().map(|row| T::from_row(&Row::Sqlite(row))).collect()
            }
            Self::Postgres(tx) => {
                let query = args.into_iter().fold(sqlx::query(statement.postgres), |q, v| v.bind_postgres(q));
                let rows = within(query.fetch_all(&mut **tx)).await.map_err(fail)?;
                rows.into_iter().map(|row| T::from_row(&Row::Postgres(row))).collect()
            }
        }
    }

    pub(crate) async fn fetch_optional<T: FromRow>(
        &mut self,
        statement: Statement,
        args: Vec<Value>,
    ) -> Result<Option<T>, Error> {
        Ok(self.fetch_all(statement, args).await?.into_iter().next())
    }
}
