//! GStreamer graphs, the sandboxed child that runs them, span jobs.
