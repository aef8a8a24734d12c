//! Stills of a lecture: what spans report of their pictures, and which of them become poster, storyboard and chapters.
//!
//! Spans see only their own time, and their reports do not depend on how the work is cut: whether a slide changed where one
//! span ends and the next begins is decided here, from what both say of their edges.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::captions::timestamp;

/// Name of a span's report among the files of its job.
pub const REPORT: &str = "stills.json";
/// Name of the file with the pictures that the report names: RGB, eight bits each, row by row without padding.
pub const PICTURES: &str = "stills.bin";

/// Longest side of a tile of the storyboard, pixels.
pub const TILE_SIDE: u32 = 160;
/// Longest side of a chapter's still, pixels.
pub const CHAPTER_SIDE: u32 = 240;
/// Longest side of the poster, pixels.
pub const POSTER_SIDE: u32 = 1_280;
/// Tiles of a storyboard: one sheet holds them all.
pub const MOST_TILES: u64 = 100;
/// Chapters that are found by themselves.
pub const MOST_CHAPTERS: usize = 50;
/// Spans that begin before this look for a poster, milliseconds.
pub const POSTER_BEFORE_MS: u64 = 60_000;

/// Least time between two tiles, milliseconds.
const LEAST_INTERVAL_MS: u64 = 2_000;
/// How long a picture stands before a change of it begins a chapter, milliseconds.
const STOOD_MS: u64 = 5_000;
/// Least length of a chapter, milliseconds.
const LEAST_CHAPTER_MS: u64 = 10_000;

/// Columns and rows of a [`Signature`].
pub const SIGNATURE: (usize, usize) = (32, 18);
/// Levels by which a cell of two signatures may differ and be the same.
const CELL_TOLERANCE: u8 = 6;
/// Share of the cells, as one in so many, that differ when the picture is another: more than a talking head in a corner.
const CHANGED_SHARE: usize = 12;

/// The picture in 32 × 18 mean levels of brightness, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature(pub Vec<u8>);

impl Signature {
    /// Whether another slide is shown: something moving in a corner is not.
    pub fn differs(&self, other: &Self) -> bool {
        let changed = self.0.iter().zip(&other.0).filter(|(a, b)| a.abs_diff(**b) > CELL_TOLERANCE).count();
        self.0.len() != other.0.len() || changed * CHANGED_SHARE >= self.0.len().max(1)
    }

    /// How much there is to see: the standard deviation of the levels, 0 for a blank picture.
    pub fn contrast(&self) -> f64 {
        let count = self.0.len().max(1) as f64;
        let mean = self.0.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
        (self.0.iter().map(|level| (f64::from(*level) - mean).powi(2)).sum::<f64>() / count).sqrt()
    }
}

/// Contrast from which a picture shows something: neither black nor an empty page.
pub const MEANINGFUL: f64 = 8.0;

/// A picture in a span's file of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Where it begins, bytes.
    pub offset: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Picture {
    /// Its size in bytes. `None`: larger than any that a span makes.
    pub fn bytes(&self) -> Option<u64> {
        let fits = (1..=POSTER_SIDE).contains(&self.width) && (1..=POSTER_SIDE).contains(&self.height);
        fits.then(|| u64::from(self.width) * u64::from(self.height) * 3)
    }
}

/// A change of the picture within a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When, milliseconds on the asset's timeline.
    pub at_ms: u64,
    /// How long the picture before it had stood, as far as the span saw.
    pub stood_ms: u64,
    /// Whether that one had stood since the span began, and perhaps before.
    pub since_start: bool,
    /// What it changed to.
    pub picture: Picture,
}

/// How a span begins or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Time of the first or the last picture, milliseconds.
    pub at_ms: u64,
    /// What it shows.
    pub signature: Signature,
}

/// What a span says of its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanStills {
    /// Distance of the tiles, milliseconds.
    pub interval_ms: u64,
    /// Tiles with their places: a tile at `n` shows what is on the screen at `n` times the interval.
    pub tiles: Vec<(u32, Picture)>,
    /// Changes of the picture, in order.
    pub changes: Vec<Change>,
    /// The picture with which the span begins.
    pub opening: Picture,
    /// How it begins.
    pub first: Edge,
    /// How it ends.
    pub last: Edge,
    /// How long the last picture had stood when the span ended, as far as the span saw.
    pub stood_ms: u64,
    /// The best picture to stand for the lecture and its contrast, from spans near the beginning.
    pub poster: Option<(Picture, f64)>,
}

/// A picture of one of several spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Position of the span's report among those given.
    pub span: usize,
    /// The picture in its file.
    pub picture: Picture,
}

/// A chapter found by its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundChapter {
    /// When it begins, milliseconds.
    pub start_ms: u64,
    /// What it begins with.
    pub still: Chosen,
}

/// Pictures of one size side by side in one JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Pictures in a row.
    pub columns: u32,
    /// Width of a picture, pixels.
    pub width: u32,
    /// Height of a picture, pixels.
    pub height: u32,
    /// How many there are.
    pub count: u32,
}

impl Sheet {
    /// Width and height of the whole, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width * self.columns, self.height * self.count.div_ceil(self.columns.max(1)))
    }

    /// Where a picture begins in it, pixels from the left and from the top.
    pub fn place(&self, at: u32) -> (u32, u32) {
        let columns = self.columns.max(1);
        (at % columns * self.width, at / columns * self.height)
    }

    /// The part of the sheet that is a picture, as a media fragment (W3C Media Fragments, 4.2.2).
    pub fn fragment(&self, at: u32) -> String {
        let (x, y) = self.place(at);
        format!("#xywh={x},{y},{},{}", self.width, self.height)
    }
}

/// File names of a package's stills.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// One picture for the whole lecture.
    pub poster: &'static str,
    /// What is on the screen at even distances.
    pub storyboard: &'static str,
    /// What chapters begin with.
    pub chapters: &'static str,
}

/// See [`Names`].
pub const SHEETS: Names =
    Names { poster: "poster.jpg", storyboard: "storyboard.jpg", chapters: "chapters.jpg" };

/// Which stills a package has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackageStills {
    /// Whether there is a poster.
    pub poster: bool,
    /// The storyboard and the distance of its tiles in milliseconds.
    pub storyboard: Option<(Sheet, u64)>,
    /// The stills of the chapters that were found.
    pub chapters: Option<Sheet>,
    /// Whether there is a [waveform](crate::waveform) of the default sound, which is kept and given out as stills are.
    #[serde(default)]
    pub waveform: bool,
}

/// A storyboard as a WebVTT file, a cue for each tile: what players show while somebody looks for a place.
pub fn storyboard_webvtt(sheet: &Sheet, interval_ms: u64, duration_ms: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for at in 0..sheet.count {
        let start = u64::from(at) * interval_ms;
        let end = if at + 1 == sheet.count { duration_ms.max(start + 1) } else { start + interval_ms };
        let (start, end) = (timestamp(start), timestamp(end));
        let _ = write!(text, "\n{start} --> {end}\n{}{}\n", SHEETS.storyboard, sheet.fragment(at));
    }
    text
}

/// Chapters as a WebVTT file (W3C WebVTT, 4.4), from when they begin and their titles; one without a title has its number.
pub fn chapters_webvtt(chapters: &[(u64, &str)], duration_ms: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for (at, (start, title)) in chapters.iter().enumerate() {
        let end = chapters.get(at + 1).map_or(duration_ms, |next| next.0).max(start + 1);
        let escaped = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let title = if escaped.is_empty() { format!("Chapter {}", at + 1) } else { escaped };
        let _ = write!(text, "\n{} --> {}\n{title}\n", timestamp(*start), timestamp(end));
    }
    text
}

/// Distance of the tiles of a storyboard, milliseconds.
pub fn interval_ms(duration_ms: u64) -> u64 {
    duration_ms.div_ceil(MOST_TILES).max(LEAST_INTERVAL_MS)
}

/// Width and height that fit a picture into a square without making it larger. The width is a multiple of four, so that rows of
/// RGB need no padding.
pub fn fit(width: u32, height: u32, side: u32) -> (u32, u32) {
    let (width, height) = (width.max(1), height.max(1));
    let longest = width.max(height);
    let side = side.min(longest);
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)) as u32;
    ((scaled(width) / 4 * 4).max(4), (scaled(height) / 2 * 2).max(2))
}

/// The tiles of a storyboard in order, without gaps: where no picture began in an interval, the one before it is still on the
/// screen. Empty when the spans do not agree.
pub fn storyboard(spans: &[SpanStills]) -> Vec<Chosen> {
    let Some(first) = spans.first() else { return Vec::new() };
    if spans.iter().any(|span| span.interval_ms != first.interval_ms) {
        return Vec::new();
    }
    let mut tiles: Vec<Chosen> = Vec::new();
    for (span, report) in spans.iter().enumerate() {
        for (place, picture) in &report.tiles {
            let place = *place as usize;
            if place > MOST_TILES as usize || place < tiles.len() {
                continue;
            }
            let chosen = Chosen { span, picture: *picture };
            let before = tiles.last().copied().unwrap_or(chosen);
            tiles.resize(place, before);
            tiles.push(chosen);
        }
    }
    tiles.truncate(MOST_TILES as usize);
    tiles
}

/// The first picture that shows something; if none does, the one that shows most.
pub fn poster(spans: &[SpanStills]) -> Option<Chosen> {
    let candidates = spans.iter().enumerate().filter_map(|(span, report)| {
        let (picture, contrast) = report.poster?;
        Some((Chosen { span, picture }, contrast))
    });
    let mut best: Option<(Chosen, f64)> = None;
    for (chosen, contrast) in candidates {
        if contrast >= MEANINGFUL {
            return Some(chosen);
        }
        if best.is_none_or(|(_, most)| contrast > most) {
            best = Some((chosen, contrast));
        }
    }
    best.map(|(chosen, _)| chosen)
}

/// Chapters where the picture changed after it had stood: none at all, or a first one at the beginning.
pub fn chapters(spans: &[SpanStills], duration_ms: u64) -> Vec<FoundChapter> {
    let Some(first) = spans.first() else { return Vec::new() };
    let least_ms = LEAST_CHAPTER_MS.max(duration_ms / MOST_CHAPTERS as u64);
    let mut found = vec![FoundChapter { start_ms: 0, still: Chosen { span: 0, picture: first.opening } }];
    let mut add = |at_ms: u64, stood_ms: u64, span: usize, picture: Picture| {
        let last = found.last().map_or(0, |last| last.start_ms);
        let room = at_ms >= last + least_ms && at_ms + least_ms / 2 <= duration_ms;
        if stood_ms >= STOOD_MS && room && found.len() < MOST_CHAPTERS {
            found.push(FoundChapter { start_ms: at_ms, still: Chosen { span, picture } });
        }
    };
    // How long the picture at the end of the spans so far had stood, and what it shows.
    let mut before: Option<(u64, &Edge)> = None;
    for (at, span) in spans.iter().enumerate() {
        let mut carried = 0;
        if let Some((stood_ms, edge)) = before {
            let stood_ms = stood_ms + span.first.at_ms.saturating_sub(edge.at_ms);
            if edge.signature.differs(&span.first.signature) {
                add(span.first.at_ms, stood_ms, at, span.opening);
            } else {
                carried = stood_ms;
            }
        }
        for change in &span.changes {
            let more = if change.since_start { carried } else { 0 };
            add(change.at_ms, change.stood_ms + more, at, change.picture);
        }
        let whole = span.changes.is_empty();
        before = Some((span.stood_ms + if whole { carried } else { 0 }, &span.last));
    }
    if found.len() > 1 { found } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(offset: u64) -> Picture {
        Picture { offset, width: 240, height: 134 }
    }

    fn slide(number: u8) -> Signature {
        Signature((0..SIGNATURE.0 * SIGNATURE.1).map(|at| (at as u8).wrapping_mul(number) / 2 + 40).collect())
    }

    /// A span of ten seconds that shows one slide after another, each from a second on.
    fn span(at: u64, slides: &[(u64, u8)]) -> SpanStills {
        let start = at * 10_000;
        let changes = slides.windows(2).enumerate().map(|(index, pair)| Change {
            at_ms: start + pair[1].0 * 1_000,
            stood_ms: (pair[1].0 - pair[0].0) * 1_000,
            since_start: index == 0,
            picture: picture(u64::from(pair[1].1)),
        });
        let (since, last) = slides[slides.len() - 1];
        SpanStills {
            interval_ms: 2_000,
            tiles: Vec::new(),
            changes: changes.collect(),
            opening: picture(u64::from(slides[0].1)),
            first: Edge { at_ms: start, signature: slide(slides[0].1) },
            last: Edge { at_ms: start + 9_960, signature: slide(last) },
            stood_ms: 9_960 - since * 1_000,
            poster: None,
        }
    }

    fn found(spans: &[SpanStills]) -> Vec<(u64, usize, u64)> {
        let chapters = chapters(spans, spans.len() as u64 * 10_000);
        chapters.iter().map(|one| (one.start_ms, one.still.span, one.still.picture.offset)).collect()
    }

    #[test]
    fn slides_are_chapters_wherever_spans_are_cut() {
        // Within a span, across two, and just where one ends.
        assert_eq!(
            found(&[span(0, &[(0, 1)]), span(1, &[(0, 1), (3, 2)]), span(2, &[(0, 2)])]),
            [(0, 0, 1), (13_000, 1, 2)]
        );
        assert_eq!(
            found(&[span(0, &[(0, 1)]), span(1, &[(0, 2)]), span(2, &[(0, 3)]), span(3, &[(0, 3)])]),
            [(0, 0, 1), (10_000, 1, 2), (20_000, 2, 3)]
        );
    }

    #[test]
    fn what_never_stands_still_has_no_chapters() {
        let moving: Vec<SpanStills> =
            (0..6).map(|at| span(at, &[(0, 1), (2, 2), (4, 3), (6, 4), (8, 5)])).collect();
        assert_eq!(found(&moving), []);
        assert_eq!(found(&[]), []);
        assert_eq!(found(&(0..6).map(|at| span(at, &[(0, 1)])).collect::<Vec<_>>()), [], "one slide");
    }

    #[test]
    fn chapters_are_not_too_short_nor_too_many() {
        // A slide every 6 s: every other one begins a chapter.
        let fast = [
            span(0, &[(0, 1), (6, 2)]),
            span(1, &[(0, 2), (2, 3), (8, 4)]),
            span(2, &[(0, 4), (4, 5)]),
            span(3, &[(0, 6)]),
        ];
        assert_eq!(found(&fast).iter().map(|one| one.0).collect::<Vec<_>>(), [0, 12_000, 24_000]);
        let long: Vec<SpanStills> = (0..400).map(|at| span(at, &[(0, (at % 7 + 1) as u8)])).collect();
        let many = found(&long);
        assert_eq!(many.len(), MOST_CHAPTERS);
        assert!(many.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 80_000));
    }

    #[test]
    fn a_talking_head_is_no_new_slide() {
        let mut moved = slide(3);
        // Four hundredths of the picture.
        for at in 0..SIGNATURE.0 * SIGNATURE.1 / 25 {
            moved.0[at] = moved.0[at].wrapping_add(90);
        }
        assert!(!slide(3).differs(&moved));
        assert!(slide(3).differs(&slide(4)));
        assert!(!slide(3).differs(&slide(3)));
        assert!(slide(3).differs(&Signature(Vec::new())), "a report that is none");
    }

    #[test]
    fn a_storyboard_has_no_gaps_and_an_end() {
        assert_eq!(
            [interval_ms(0), interval_ms(200_000), interval_ms(200_001), interval_ms(7_200_000)],
            [2_000, 2_000, 2_001, 72_000]
        );
        let with = |tiles: &[u32]| SpanStills {
            tiles: tiles.iter().map(|place| (*place, picture(u64::from(*place)))).collect(),
            ..span(0, &[(0, 1)])
        };
        let places = |spans: &[SpanStills]| {
            storyboard(spans).iter().map(|tile| (tile.span, tile.picture.offset)).collect::<Vec<_>>()
        };
        assert_eq!(places(&[with(&[0, 1]), with(&[4])]), [(0, 0), (0, 1), (0, 1), (0, 1), (1, 4)]);
        assert_eq!(places(&[with(&[1])]), [(0, 1), (0, 1)], "nothing at the beginning");
        assert_eq!(places(&[with(&[0, 1]), with(&[1, 2])]), [(0, 0), (0, 1), (1, 2)], "once each");
        assert_eq!(places(&[with(&[0, 4_000_000_000])]).len(), 1, "a place that is none");
        assert_eq!(places(&[with(&(0..100).collect::<Vec<_>>()), with(&[100])]).len(), 100);
        let other = SpanStills { interval_ms: 3_000, ..with(&[1]) };
        assert_eq!(places(&[with(&[0]), other]), []);
    }

    #[test]
    fn a_poster_shows_something_and_soon() {
        let with = |contrast: Option<f64>| SpanStills {
            poster: contrast.map(|contrast| (picture(0), contrast)),
            ..span(0, &[(0, 1)])
        };
        let chosen = |contrasts: &[Option<f64>]| {
            poster(&contrasts.iter().map(|contrast| with(*contrast)).collect::<Vec<_>>())
                .map(|chosen| chosen.span)
        };
        assert_eq!(chosen(&[Some(0.2), Some(30.0), Some(60.0), None]), Some(1));
        assert_eq!(chosen(&[Some(0.2), Some(3.0), Some(1.0)]), Some(1), "the best there is");
        assert_eq!(chosen(&[None]), None);
        assert!(slide(3).contrast() > MEANINGFUL);
        assert!(Signature(vec![16; 576]).contrast() < 0.1);
    }

    #[test]
    fn files_for_players() {
        let sheet = Sheet { columns: 2, width: 160, height: 90, count: 3 };
        assert_eq!(sheet.size(), (320, 180));
        assert_eq!(
            storyboard_webvtt(&sheet, 2_000, 5_500),
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nstoryboard.jpg#xywh=0,0,160,90\n\n\
             00:00:02.000 --> 00:00:04.000\nstoryboard.jpg#xywh=160,0,160,90\n\n\
             00:00:04.000 --> 00:00:05.500\nstoryboard.jpg#xywh=0,90,160,90\n"
        );
        assert_eq!(
            chapters_webvtt(&[(0, ""), (60_000, "a < b --> c & d")], 90_000),
            "WEBVTT\n\n00:00:00.000 --> 00:01:00.000\nChapter 1\n\n\
             00:01:00.000 --> 00:01:30.000\na &lt; b --&gt; c &amp; d\n"
        );
    }

    #[test]
    fn pictures_fit() {
        for (size, side, expected) in [
            ((1920, 1080), 160, (160, 90)),
            ((1080, 1920), 160, (88, 160)),
            ((1920, 804), 240, (240, 100)),
            ((640, 480), 1280, (640, 480)),
            ((64, 10_000), 160, (4, 160)),
            ((1, 1), 160, (4, 2)),
        ] {
            assert_eq!(fit(size.0, size.1, side), expected, "{size:?}");
        }
        assert_eq!(Picture { offset: 0, width: 1281, height: 10 }.bytes(), None);
        assert_eq!(Picture { offset: 0, width: 160, height: 90 }.bytes(), Some(43_200));
    }
}
