//! What can go wrong in the database. "Not found" is not among it: that is `Ok(None)`.

/// A broken database, a broken connection, or data that should not be there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no supported engine.
    #[error("expected a database URL beginning with sqlite: or postgres:, got one beginning with {0:?}")]
    UnknownEngine(String),
    /// The engine refused a statement, or could not be reached.
    #[error("{statement}: {source}")]
    Statement {
        /// Which statement.
        statement: &'static str,
        /// What the engine said.
        source: sqlx::Error,
    },
    /// Opening, migrating, beginning or committing failed.
    #[error("{action}: {source}")]
    Connection {
        /// What was being done.
        action: &'static str,
        /// What the engine said.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("migrate: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A column holds something that the code cannot read.
    #[error("column {column}: {detail}")]
    Corrupt {
        /// The column.
        column: String,
        /// What was expected and what came.
        detail: String,
    },
}

impl Error {
    /// Whether a unique constraint stopped an insert: the caller's value is taken.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Statement { source, .. } => {
                source.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
            }
            _ => false,
        }
    }
}
