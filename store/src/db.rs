//! The facade over both engines: open, migrate, run a statement, run several in a transaction.
//!
//! SQLite: one file in WAL mode, one connection that writes and a few that read. PostgreSQL: a pool.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Error,
    row::{FromRow, Row},
    statement::Statement,
    value::Value,
};

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
            "postgres" | "postgresql" => Pool::Postgres(
                PgPoolOptions::new()
                    .max_connections(16)
                    .acquire_timeout(Duration::from_secs(10))
                    .connect(url)
                    .await
                    .map_err(|source| Error::Connection { action: "open postgres", source })?,
            ),
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

    /// Brings the schema up to date. Safe to call by several processes at once.
    pub async fn migrate(&self) -> Result<(), Error> {
        match &self.pool {
            Pool::Sqlite { writer, .. } => sqlx::migrate!("migrations/sqlite").run(writer).await?,
            Pool::Postgres(pool) => sqlx::migrate!("migrations/postgres").run(pool).await?,
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
            Pool::Postgres(pool) => sqlx::query("SELECT 1").execute(pool).await.map(drop).map_err(fail),
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
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await.map_err(fail)?),
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
                let query = args.into_iter().fold(sqlx::query(statement.postgres), |q, v| v.bind_postgres(q));
                query.execute(pool).await.map(|done| done.rows_affected()).map_err(fail)
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
                let query = args.into_iter().fold(sqlx::query(statement.postgres), |q, v| v.bind_postgres(q));
                let rows = query.fetch_all(pool).await.map_err(fail)?;
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
            Self::Postgres(tx) => tx.commit().await.map_err(fail),
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
                query.execute(&mut **tx).await.map(|done| done.rows_affected()).map_err(fail)
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
                let rows = query.fetch_all(&mut **tx).await.map_err(fail)?;
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
