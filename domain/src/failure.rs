//! Why an asset failed: a stable code, whose fault it is, and a sentence its instructor can act on.

use serde::{Deserialize, Serialize};

/// The closed list of reasons. To add one: a line in the table below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The source has no bytes.
    SourceEmpty,
    /// Not a media file, or one that no installed demuxer knows.
    SourceNotMedia,
    /// The file ends before its index (for MP4: no `moov`).
    SourceTruncated,
    /// Demuxed, but no track can be decoded here.
    SourceCodecUnsupported,
    /// Neither picture nor sound.
    SourceNoTracks,
    /// Declared picture size outside what is accepted.
    SourceDimensions,
    /// Longer than the configured limit.
    SourceTooLong,
    /// The in point leaves nothing, or too little, of the source.
    TrimOutsideSource,
    /// Decoding broke down in the middle.
    SourceCorrupt,
    /// High dynamic range, which would come out washed out.
    SourceHdrUnsupported,
    /// Decoding did not advance within the time limit.
    SourceTimeLimit,
    /// Decoding needed more memory than a job may use.
    SourceMemoryLimit,
    /// An operator ended the work.
    Cancelled,
    /// Ours: storage, database, a bug.
    Internal,
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The instructor: another file helps.
    Source,
    /// The operator: the file may be fine.
    Server,
}

impl FailureCode {
    const ALL: [Self; 14] = [
        Self::SourceEmpty,
        Self::SourceNotMedia,
        Self::SourceTruncated,
        Self::SourceCodecUnsupported,
        Self::SourceNoTracks,
        Self::SourceDimensions,
        Self::SourceTooLong,
        Self::TrimOutsideSource,
        Self::SourceCorrupt,
        Self::SourceHdrUnsupported,
        Self::SourceTimeLimit,
        Self::SourceMemoryLimit,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The code in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The default sentence for the instructor.
    pub const fn sentence(self) -> &'static str {
        self.row().1
    }

    /// Who has to act.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Cancelled | Self::Internal => Fault::Server,
            _ => Fault::Source,
        }
    }

    /// Whether the same source may succeed another time; it is kept for that.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Internal
                | Self::Cancelled
                | Self::SourceTimeLimit
                | Self::SourceMemoryLimit
                // With other points.
                | Self::TrimOutsideSource
        )
    }

    /// Reads the code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::SourceEmpty => ("source_empty", "The file is empty. Check the export and upload it again."),
            Self::SourceNotMedia => (
                "source_not_media",
                "This is not a video or audio file we can read. Upload MP4, MOV, MKV, WebM or a similar media file.",
            ),
            Self::SourceTruncated => (
                "source_truncated",
                "The file ends too early: its index is missing, usually because recording or copying was cut off. \
                 Export or copy it again and upload the complete file.",
            ),
            Self::SourceCodecUnsupported => (
                "source_codec_unsupported",
                "The file uses a codec that cannot be decoded here. Export it as H.264 video with AAC audio and upload that.",
            ),
            Self::SourceNoTracks => (
                "source_no_tracks",
                "The file has neither picture nor sound. Check that you chose the right file.",
            ),
            Self::SourceDimensions => (
                "source_dimensions",
                "The picture size is outside what is accepted (2 to 8192 pixels a side, 36 megapixels at most). \
                 Export a smaller picture and upload that.",
            ),
            Self::SourceTooLong => (
                "source_too_long",
                "The recording is longer than this site accepts. Split it into parts and upload them as separate lessons.",
            ),
            Self::TrimOutsideSource => (
                "trim_outside_source",
                "The lesson would begin less than a second before the recording ends, or after that. Your file is kept: set an \
                 earlier in point and try again.",
            ),
            Self::SourceCorrupt => (
                "source_corrupt",
                "The file is damaged and cannot be decoded to its end. Export it again, play it through once, and upload it.",
            ),
            Self::SourceHdrUnsupported => (
                "source_hdr_unsupported",
                "The file is high dynamic range video, which is not converted here yet. Export it as standard dynamic range (BT.709).",
            ),
            Self::SourceTimeLimit => (
                "source_time_limit",
                "Decoding the file took too long and was stopped. Export it again as H.264 video with AAC audio and upload that.",
            ),
            Self::SourceMemoryLimit => (
                "source_memory_limit",
                "Decoding the file needed more memory than is allowed. Export it with a smaller picture and upload that.",
            ),
            Self::Cancelled => {
                ("cancelled", "Processing was ended by an administrator. Ask them why, or start it again.")
            }
            Self::Internal => (
                "internal",
                "Something went wrong on our side; your file is kept. Try again, and tell the operator if it happens twice.",
            ),
        }
    }
}

/// A failure as stored with the asset and shown to its instructor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// The sentence shown.
    pub message: String,
}

impl From<FailureCode> for Failure {
    fn from(code: FailureCode) -> Self {
        Self { code, message: code.sentence().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_matches_its_json() {
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(code));
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
            assert!(code.sentence().ends_with('.'));
        }
    }
}
