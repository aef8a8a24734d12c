//! Prepares every registered statement on both engines: its text fits the schema, and no two share a name.

use std::collections::HashSet;

use lectern_store::{statements, testing::on_both_engines};

#[tokio::test]
async fn every_statement_fits_the_schema_of_both_engines() {
    on_both_engines(|db| async move {
        let mut failures = Vec::new();
        for statement in statements() {
            if let Err(error) = db.prepare(statement).await {
                failures.push(error.to_string());
            }
        }
        assert!(failures.is_empty(), "{:?}: {failures:#?}", db.engine());
    })
    .await;
}

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for statement in statements() {
        assert!(seen.insert(statement.name), "{} is registered twice", statement.name);
    }
}
