//! The packager on real media: CMAF made by ffmpeg, read, encrypted, played back by ffmpeg and judged by others'
//! playlist parsers.

mod clip;
mod hostile;
mod jobs;
mod playback;
mod reading;
