//! Every SQL statement and both sets of migrations.
