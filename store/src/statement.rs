//! A registered SQL statement: its name and its text for each engine.

/// One statement. Made only by the `statements!` macro, so that all of them can be prepared by a test.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// Module and name, for errors and metrics.
    pub name: &'static str,
    /// Text for SQLite.
    pub sqlite: &'static str,
    /// Text for PostgreSQL.
    pub postgres: &'static str,
}

impl Statement {
    /// One text for both engines.
    pub(crate) const fn both(name: &'static str, sql: &'static str) -> Self {
        Self { name, sqlite: sql, postgres: sql }
    }

    /// A text for each engine.
    pub(crate) const fn split(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Self {
        Self { name, sqlite, postgres }
    }

    /// Whether it only reads: such statements need not wait for the single writer of SQLite.
    pub(crate) fn only_reads(&self) -> bool {
        self.sqlite.trim_start().starts_with("SELECT")
    }
}

/// Declares a module's statements and its `STATEMENTS` list: `NAME = both("…");` or `NAME = split("sqlite", "postgres");`.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $form:ident($($sql:expr),+ $(,)?);)*) => {
        $($(#[$doc])* const $name: $crate::statement::Statement =
            $crate::statement::Statement::$form(concat!(module_path!(), "::", stringify!($name)), $($sql),+);)*
        pub(crate) const STATEMENTS: &[$crate::statement::Statement] = &[$($name),*];
    };
}
pub(crate) use statements;

#[cfg(test)]
mod tests {
    #[test]
    fn every_column_is_named() {
        // PostgreSQL refuses to run a prepared `SELECT *` again once a later version has added a column.
        for statement in crate::statements() {
            for text in [statement.sqlite, statement.postgres] {
                let all = ["SELECT *", "RETURNING *", ".*"].iter().any(|form| text.contains(form));
                assert!(!all, "{}: name the columns: {text}", statement.name);
            }
        }
    }
}
