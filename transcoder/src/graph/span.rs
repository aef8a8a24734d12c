//! One span of the video: one decode, every rung, whole segments.
//!
//! A span holds exactly the frames with `start <= time < end`. Decoding begins at a sync sample at or before the start
//! and ends with the first frame at or after the end, whose time gives the last kept frame its duration. No frame is
//! encoded twice, and none is left out but what repeats the one before it ([`super::cadence`]). A segment of the grid in
//! which no frame begins does not exist: the one before it lasts longer, in every rendition alike.
//!
//! Where the asset begins at an in point, its first frame is the one that is on the screen then, whenever that came; at an out point
//! the frame that is on the screen ends. Neither shows a frame for less than a millisecond ([`FRAME_TOLERANCE_MS`]).

use std::path::Path;

use gstreamer as gst;
use gstreamer_video as gst_video;
use lectern_domain::{
    failure::FailureCode,
    media::TranscodeOutput,
    plan::{SECOND_NS, Span, VideoPlan},
    source::{Orientation, SourceInfo, VideoTrack},
    trim::FRAME_TOLERANCE_MS,
};

use super::{
    MediaFailure, OnProgress,
    cadence::Cadence,
    decode::{Chain, Decoding, Enter, Kind, presented},
    element, fields,
    file::SourceFile,
    ladder::{COLORIMETRY, Settings},
    runs::Runs,
    shown::{Changed, Shown},
    stills::Stills,
    timeline,
};

/// Threads of the video decoder. Decoding is a tenth of the work and runs beside the encoders; more threads would only
/// hold more frames.
const DECODER_THREADS: i32 = 1;

/// Makes every rung of `span` into `folder`.
pub(crate) fn transcode_span(
    file: &SourceFile,
    source: &SourceInfo,
    plan: &VideoPlan,
    span: &Span,
    folder: &Path,
    progress: OnProgress<'_>,
) -> Result<TranscodeOutput, MediaFailure> {
    let track =
        source.video.as_ref().ok_or_else(|| MediaFailure::internal("a span of a source without video"))?;
    let scale = timeline::timescale(track.frame_rate);
    let start = timeline::to_ticks(span.start_ns as i64, scale);
    let end = span.end_ns.map(|end| timeline::to_ticks(end as i64, scale));
    let out_point = source.out_point_ns().map(|end| timeline::to_ticks(end as i64, scale));
    let tolerance = i64::from(scale) * FRAME_TOLERANCE_MS as i64 / 1_000;
    // The first tick at which no frame of this span begins.
    let over = end.into_iter().chain(out_point.map(|end| end - tolerance + 1)).min();
    let until = span.end_ns.or(source.duration_ns).unwrap_or(0);

    let (decoding, first) = open_at(file, source, track, span, start, scale)?;
    let settings = Settings {
        rungs: &plan.rungs,
        preset: &plan.preset,
        calm_quantiser: plan.calm_quantiser,
        skip_pictures: plan.skip_pictures,
        frame_rate: track.frame_rate,
        timescale: scale,
        folder,
    };
    let film = !track.is_calm();
    let mut runs = Runs::new(settings, film);

    let mut stills =
        Stills::new(folder, span.start_ns / 1_000_000, source.duration_ns.unwrap_or(until) / 1_000_000)?;
    let mut cadence = Cadence::new(plan, scale, film);
    let mut shown = Shown::default();
    // Tick of the last frame of the span, and the tick distance before it.
    let mut last: Option<i64> = None;
    let mut step = frame_ticks(track, scale);
    let mut end_of_span = None;
    let timed = |sample: gst::Sample| (frame_time(&sample, source, scale), sample);
    let (mut next, mut ahead) = (first.map(timed), None);
    if span.start_ns == 0 && source.begins_inside() {
        let mut on_screen = None;
        while let Some((Some(_), sample)) = next.take_if(|(ticks, _)| ticks.is_some_and(|at| at < tolerance))
        {
            on_screen = Some((Some(0), sample));
            next = decoding.next()?.map(timed);
        }
        if on_screen.is_some() {
            (next, ahead) = (on_screen, next);
        }
    }
    while let Some((ticks, sample)) = next {
        let ticks = ticks.unwrap_or_else(|| last.map_or(start, |last| last + step));
        // Times must rise; a source that repeats one still keeps its frame.
        let ticks = last.map_or(ticks, |last| ticks.max(last + 1));
        if over.is_some_and(|over| ticks >= over) {
            end_of_span = Some(ticks);
            break;
        }
        if ticks >= start || span.start_ns == 0 {
            let ticks = ticks.max(0);
            // On request everything counts as moving.
            let changed = if plan.keep_all_frames { Changed::ALL } else { shown.changed(&sample)? };
            stills.see(&sample, timeline::to_ns(ticks as u64, scale) / 1_000_000, changed.share == 0.0);
            let kept = cadence.take(ticks, changed.share);
            if runs.take(&sample, ticks as u64, changed, kept)? {
                shown.keep(sample);
            }
            if let Some(before) = last {
                step = ticks - before;
            }
            last = Some(ticks);
            let now_ns = timeline::to_ns(ticks as u64, scale);
            decoding.skim(cadence.is_still());
            progress(
                now_ns.saturating_sub(span.start_ns) as f64
                    / until.saturating_sub(span.start_ns).max(1) as f64,
            );
        }
        next = match ahead.take() {
            Some(frame) => Some(frame),
            None => decoding.next()?.map(timed),
        };
    }
    drop(decoding);
    let Some(last) = last else {
        return Ok(TranscodeOutput::default());
    };
    let end = end_of_span
        .unwrap_or_else(|| end_of_source(last, step, frame_ticks(track, scale), source.duration_ns, scale));
    let end = out_point.map_or(end, |out_point| if end > out_point - tolerance { out_point } else { end });
    let tracks = runs.finish(end as u64)?;
    agree(&tracks)?;
    stills.finish(folder)?;
    progress(1.0);
    Ok(TranscodeOutput { tracks })
}

/// Opens the source where the span begins and returns its first decoded frame.
///
/// A seek that lands after the start is repeated further back: an index may point at decode times, and a frame lost
/// at a seam would be lost for ever. A source that cannot be sought in, or not far enough back, is read from its beginning and decoded from a little
/// before the span.
fn open_at(
    file: &SourceFile,
    source: &SourceInfo,
    track: &VideoTrack,
    span: &Span,
    start: i64,
    scale: u32,
) -> Result<(Decoding, Option<gst::Sample>), MediaFailure> {
    let open = |enter: Option<i64>| -> Result<Decoding, MediaFailure> {
        let chain = Chain {
            threads: DECODER_THREADS,
            unpadded: track.interlaced,
            after: corrections(track)?,
            caps: gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::I420)
                .field("colorimetry", COLORIMETRY)
                .build(),
            enter: enter.map(|at| Enter { container: source.container.clone(), at }),
        };
        Decoding::open(file, Kind::Video, 0, &chain)
    };
    let enough = |decoding: &Decoding, first: Option<&gst::Sample>| {
        let landed = first.and_then(|sample| frame_time(sample, source, scale));
        (landed.is_some_and(|ticks| ticks <= start), decoding.entry().filter(|entry| !entry.whole))
    };
    let mut decoding = open(None)?;
    if span.start_ns == 0 && !source.begins_inside() {
        let (decoding, first) = first_of(decoding)?;
        if first.is_none() {
            return Err(MediaFailure::new(
                FailureCode::SourceCorrupt,
                "expected frames, none could be decoded",
            ));
        }
        return Ok((decoding, first));
    }
    // Deinterlacing looks at earlier fields: give it some, so that the cut does not show.
    let lead = if track.interlaced { SECOND_NS / 2 } else { 0 };
    let wanted = (span.start_ns + source.start_ns).saturating_sub(lead);
    let mut target = wanted;
    let mut further = [SECOND_NS, 10 * SECOND_NS, 60 * SECOND_NS].into_iter();
    // Time of a sync sample that decoding cannot begin with.
    let mut broken_at = None;
    while source.seekable && decoding.seek(target)? {
        decoding.play()?;
        let first = decoding.next()?;
        if let (true, broken) = enough(&decoding, first.as_ref()) {
            match (broken.map(|entry| entry.times.on(&source.container)), broken_at) {
                // One sync sample earlier is enough: from the next one on, pictures are whole.
                (Some(at), None) => broken_at = Some(at),
                (Some(at), Some(broken)) if at >= broken => {}
                _ => return Ok((decoding, first)),
            }
            // An index may go by decode times, which run ahead: a small step can lead to the same sample.
            if target == 0 {
                return Ok((decoding, first));
            }
            target = target.min(broken_at.unwrap_or(0).max(0) as u64).saturating_sub(SECOND_NS / 4);
            continue;
        }
        let Some(back) = further.next() else { break };
        target = wanted.saturating_sub(back);
        if first.is_none() {
            // The source ends before this span, or the seek went past its end.
            decoding = open(None)?;
        }
    }
    // From further back, pictures are whole by the time of the span whatever sync sample decoding began with.
    for (lead, whole) in [(10 * SECOND_NS, true), (60 * SECOND_NS, false)] {
        let at = (span.start_ns + source.start_ns) as i64 - lead as i64;
        // A decoder that got nothing, because there is no sync sample between here and the end, reports damage.
        let Ok((decoding, first)) = open(Some(at)).and_then(first_of) else { continue };
        if let (true, broken) = enough(&decoding, first.as_ref())
            && (broken.is_none() || !whole)
        {
            return Ok((decoding, first));
        }
    }
    first_of(open(None)?)
}

/// The first frame that comes out of a source.
fn first_of(decoding: Decoding) -> Result<(Decoding, Option<gst::Sample>), MediaFailure> {
    decoding.play()?;
    let first = decoding.next()?;
    Ok((decoding, first))
}

/// Ticks of a frame on the asset's timeline.
fn frame_time(sample: &gst::Sample, source: &SourceInfo, scale: u32) -> Option<i64> {
    presented(sample, &source.container).map(|time| timeline::to_ticks(time - source.start_ns as i64, scale))
}

/// Where the source's last frame ends: as long after it as it came after the frame before. In a recording with a
/// variable rate that may be very long, so it is no further than a nominal frame past the source's declared end.
fn end_of_source(last: i64, step: i64, nominal: i64, duration_ns: Option<u64>, scale: u32) -> i64 {
    let end = last + step.max(1);
    match duration_ns.map(|duration| timeline::to_ticks(duration as i64, scale)) {
        Some(declared) if end > declared + nominal => declared.max(last + nominal).min(end),
        _ => end,
    }
}

/// Nominal distance of frames; a twenty-fifth of a second when the source declares none.
fn frame_ticks(track: &VideoTrack, scale: u32) -> i64 {
    let rate = track.frame_rate;
    if rate.num == 0 {
        return i64::from(scale) / 25;
    }
    (i64::from(scale) * i64::from(rate.den) / i64::from(rate.num)).max(1)
}

/// What must happen to frames before they are scaled: progressive, upright, I420 and BT.709.
fn corrections(track: &VideoTrack) -> Result<Vec<gst::Element>, MediaFailure> {
    use gst::prelude::*;
    let mut after = Vec::new();
    if track.interlaced {
        let deinterlace = element("deinterlace")?;
        deinterlace.set_property_from_str("mode", "interlaced");
        // Not yadif: in GStreamer 1.22 it gives two frames the time of the second and shifts the rest.
        deinterlace.set_property_from_str("method", "greedyh");
        // One frame out for each frame in: the cadence stays.
        fields::keep_first(&deinterlace);
        after.push(deinterlace);
    }
    if track.orientation != Orientation::Upright {
        let flip = element("videoflip")?;
        let direction = match track.orientation {
            Orientation::Upright => "identity",
            Orientation::Rotate90 => "90r",
            Orientation::Rotate180 => "180",
            Orientation::Rotate270 => "90l",
            Orientation::FlipHorizontal => "horiz",
            Orientation::FlipVertical => "vert",
            Orientation::FlipRotate90 => "ul-lr",
            Orientation::FlipRotate270 => "ur-ll",
        };
        flip.set_property_from_str("video-direction", direction);
        // The flip works on few formats.
        after.push(element("videoconvert")?);
        after.push(flip);
    }
    if full_range(track) {
        // `videoconvert` of GStreamer 1.22 takes a short cut from one I420 to the other when only their ranges differ, and leaves
        // the range as it is. There is none by way of RGB.
        let rgb = element("capsfilter")?;
        rgb.set_property("caps", gst::Caps::builder("video/x-raw").field("format", "RGBx").build());
        after.push(element("videoconvert")?);
        after.push(rgb);
    }
    after.push(element("videoconvert")?);
    Ok(after)
}

/// Whether samples use all codes.
fn full_range(track: &VideoTrack) -> bool {
    let colorimetry = track.colorimetry.parse::<gst_video::VideoColorimetry>();
    colorimetry.is_ok_and(|colorimetry| {
        colorimetry.range() == gst_video::VideoColorRange::Range0_255
            && colorimetry.matrix() != gst_video::VideoColorMatrix::Rgb
    })
}

/// Raw video in ordinary memory.
pub(super) fn raw_video() -> gst::Caps {
    gst::Caps::builder("video/x-raw").build()
}

/// Every rung must have the same segments with the same frames; anything else is a bug that must not be published.
fn agree(tracks: &[lectern_domain::media::TrackOutput]) -> Result<(), MediaFailure> {
    let grid = |track: &lectern_domain::media::TrackOutput| {
        track
            .segments
            .iter()
            .map(|segment| (segment.index, segment.start_ticks, segment.duration_ticks, segment.samples))
            .collect::<Vec<_>>()
    };
    let mut grids = tracks.iter().map(grid);
    let first = grids.next().unwrap_or_default();
    if grids.all(|other| other == first) {
        return Ok(());
    }
    Err(MediaFailure::internal("the rungs of a span differ in their segments"))
}

#[cfg(test)]
mod tests {
    use super::end_of_source;

    #[test]
    fn the_last_frame_does_not_outlast_the_source() {
        let ends = |last, step, seconds: Option<u64>| {
            end_of_source(last, step, 40, seconds.map(|seconds| seconds * 1_000_000_000), 1_000)
        };
        assert_eq!(ends(960, 40, Some(1)), 1_000, "a constant rate");
        assert_eq!(ends(970, 40, Some(1)), 1_010, "a duration that was rounded");
        assert_eq!(ends(21_500, 6_500, Some(22)), 22_000, "a picture that stood for long before the last");
        assert_eq!(ends(25_000, 6_500, Some(22)), 25_040, "more frames than were declared");
        assert_eq!(ends(21_500, 6_500, None), 28_000, "nothing declared");
        assert_eq!(ends(30, 10, Some(0)), 40, "a high rate");
    }
}
