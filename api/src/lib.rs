//! Accounts, courses, lessons, enrollments, progress over HTTP.
