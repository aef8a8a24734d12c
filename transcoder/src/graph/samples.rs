//! What a source shows, by a few samples: how much moves, and how much detail there is. Costs a fraction of a second, and nothing
//! that is looked at is needed: what cannot be read here is found when it is encoded.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;
use lectern_domain::{
    ladder::standard_sizes,
    source::{Complexity, Orientation, SourceInfo, VideoTrack},
};

use super::{
    MediaFailure,
    cadence::MOVES,
    decode::{Chain, Decoding, Kind},
    element,
    file::SourceFile,
    scale::Scaler,
    shown::{Shown, differing},
};

/// Places that are looked at, evenly over the source.
const PLACES: u64 = 8;
/// Pictures that are compared with the one before them, in each place.
const PAIRS: u32 = 10;
/// No further place is looked at after so long. A source that lies far away answers slowly.
const BUDGET: Duration = Duration::from_millis(1_500);
/// Share of a picture that may look different after it was scaled down and up when nothing counts as lost.
const LOST: f64 = 0.002;

/// Looks at samples of the video track of `source`; none when there is nothing to compare.
pub(super) fn look(file: &SourceFile, source: &SourceInfo) -> Result<Option<Complexity>, MediaFailure> {
    let Some(track) = &source.video else { return Ok(None) };
    let began = Instant::now();
    let chain = Chain {
        threads: 1,
        unpadded: false,
        after: vec![element("videoconvert")?],
        caps: gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build(),
        enter: None,
    };
    let decoding = Decoding::open(file, Kind::Video, 0, &chain)?;
    let mut seen = Complexity::default();
    let mut sizes = smaller_sizes(track);
    // The latest picture that was looked at.
    let mut until = None;
    let places = source.duration_ns.filter(|length| source.seekable && *length > 0);
    for place in 0..PLACES {
        if let Some(length) = places {
            let at = source.start_ns + length / (2 * PLACES) * (2 * place + 1);
            if !decoding.seek(at)? {
                break;
            }
        }
        decoding.play()?;
        let mut shown = Shown::default();
        // A seek lands on a sync sample: on one that was looked at, where there are few.
        let mut first = decoding.next()?;
        while let Some(early) = first.as_ref().and_then(time_of)
            && until.is_some_and(|until| early <= until)
            && began.elapsed() < BUDGET
        {
            first = decoding.next()?;
        }
        let Some(first) = first.filter(|first| until.is_none() || time_of(first) > until) else { break };
        until = until.max(time_of(&first));
        while let Some(size) = sizes.last()
            && !keeps_detail(&first, *size)?
        {
            sizes.pop();
        }
        shown.keep(first);
        for _ in 0..PAIRS {
            let Some(next) = decoding.next()? else { break };
            let changed = shown.changed(&next)?.share;
            seen.pairs += 1;
            seen.still += u32::from(changed == 0.0);
            seen.moving += u32::from(changed > MOVES);
            until = until.max(time_of(&next));
            shown.keep(next);
        }
        if began.elapsed() > BUDGET {
            break;
        }
    }
    seen.detail = sizes.last().map(|(width, height)| *width.min(height));
    Ok((seen.pairs > 0).then_some(seen))
}

fn time_of(sample: &gst::Sample) -> Option<gst::ClockTime> {
    sample.buffer().and_then(gst::BufferRef::pts)
}

/// Standard sizes below the track's own, as it lies in the stream, largest first.
fn smaller_sizes(track: &VideoTrack) -> Vec<(u32, u32)> {
    let coded = VideoTrack { orientation: Orientation::Upright, ..track.clone() };
    let whole = coded.display_size();
    standard_sizes(&coded).into_iter().filter(|size| size.0 < whole.0 && size.1 < whole.1).collect()
}

/// Whether a picture that is scaled to `size` and back shows the same.
fn keeps_detail(sample: &gst::Sample, (width, height): (u32, u32)) -> Result<bool, MediaFailure> {
    let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps()) else { return Ok(false) };
    let whole = gst_video::VideoInfo::from_caps(caps)?;
    let info =
        |width, height| gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build();
    let (small, back) = (info(width, height)?, info(whole.width(), whole.height())?);
    let scaled = Scaler::new(small.clone())?.scale(&buffer, &whole)?;
    let restored = Scaler::new(back.clone())?.scale(&scaled, &small)?;
    Ok(differing((&buffer, &whole), (&restored, &back), LOST)?.share <= LOST)
}
