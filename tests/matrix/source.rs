//! One line of the matrix: a file, how it is made, what must come of it.

use std::path::{Path, PathBuf};

use crate::harness::draw;

/// Red, green, blue of the card's quarters: top left, top right, bottom left, bottom right.
pub(crate) const QUARTERS: [[u8; 3]; 4] =
    [[0xb4, 0x3c, 0x28], [0x3c, 0xa0, 0x3c], [0x28, 0x50, 0xb4], [0xb4, 0xb4, 0xb4]];

/// A card in four colours with a small moving picture in its middle; white from the first second for a seventh of one.
pub(crate) fn card_of(size: &str, rate: &str, seconds: f64) -> String {
    let [a, b, c, d] = QUARTERS.map(|[red, green, blue]| format!("0x{red:02x}{green:02x}{blue:02x}"));
    format!(
        "-f lavfi -i color=c={a}:s={size}:r={rate}:d={seconds},format=gbrp,\
         drawbox=x=iw/2:y=0:w=iw/2:h=ih/2:c={b}:t=fill,drawbox=x=0:y=ih/2:w=iw/2:h=ih/2:c={c}:t=fill,\
         drawbox=x=iw/2:y=ih/2:w=iw/2:h=ih/2:c={d}:t=fill,\
         drawbox=c=white:t=fill:enable='between(t,0.999,1.15)'[card];\
         testsrc2=s=80x44:r={rate}:d={seconds},format=gbrp[moving];\
         [card][moving]overlay=x=(W-w)/2:y=(H-h)/2:format=gbrp,format=gbrp"
    )
}

/// The card at the size that most lines have.
pub(crate) fn card(rate: &str, seconds: f64) -> String {
    card_of("320x180", rate, seconds)
}

/// Silence, and a beep while the card is white.
pub(crate) fn beep_of(layout: &str, hertz: u32, seconds: f64) -> String {
    // On every channel, so that no mixing loses it.
    let tone = "0.5*sin(2*PI*1000*t)*between(t,1,1.15)";
    let channels = match layout {
        "mono" => 1,
        "2.1" => 3,
        "quad" => 4,
        "5.0" => 5,
        "5.1" => 6,
        "6.1" => 7,
        "7.1" => 8,
        _ => 2,
    };
    let tones = vec![tone; channels].join("|");
    format!("-f lavfi -i aevalsrc='{tones}':c={layout}:s={hertz}:d={seconds}")
}

/// The same on two channels.
pub(crate) fn beep(hertz: u32, seconds: f64) -> String {
    beep_of("stereo", hertz, seconds)
}

/// H.264 as quickly as it goes, near enough to the card to tell its colours.
pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -crf 8 -pix_fmt yuv420p";

type Make = Box<dyn Fn(&Path, &str) -> PathBuf + Send + Sync>;

/// What is expected of the frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Frames {
    /// This many, each as long after the first as in the source.
    All(usize),
    /// The source is damaged: from so many to so many, and the last one as late as the last undamaged one, within half a
    /// second.
    Between(usize, usize),
    /// Repeated frames are left out, as they are when nothing is said: so many of these at most.
    Fewer(usize),
    /// None: there is no picture.
    None,
}

/// What must come of a file.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// It plays.
    Plays(Plays),
    /// It is refused with this code.
    Refused(&'static str),
}

/// What a file that plays plays like.
#[derive(Debug, Clone)]
pub(crate) struct Plays {
    /// Its frames.
    pub(crate) frames: Frames,
    /// Width and height in the best rung.
    pub(crate) size: (u32, u32),
    /// Channels of each audio track.
    pub(crate) sound: Vec<u32>,
    /// Where the card's quarters are found, in their own order; none if the colours are not the card's.
    pub(crate) quarters: Option<[usize; 4]>,
    /// How far a colour may be off, in code values.
    pub(crate) off_by: f64,
    /// How long it plays, seconds.
    pub(crate) seconds: f64,
    /// How long after the flash the beep begins, seconds, where ffmpeg misreads the source.
    pub(crate) apart: Option<f64>,
}

/// A line of the matrix.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    make: Make,
    pub(crate) expected: Expected,
    /// Options of `lectern encode` besides.
    pub(crate) options: Vec<&'static str>,
}

/// A file that ffmpeg makes with these arguments. Two seconds of the card at 25 frames a second with a beep on two channels,
/// unless the line says otherwise.
pub(crate) fn file(name: &'static str, arguments: impl Into<String>) -> Source {
    let arguments = arguments.into();
    made(name, move |folder, name| draw::ffmpeg(folder, name, &arguments))
}

/// A file that is made in another way.
pub(crate) fn made(
    name: &'static str,
    make: impl Fn(&Path, &str) -> PathBuf + Send + Sync + 'static,
) -> Source {
    let plays = Plays {
        frames: Frames::All(50),
        size: (320, 180),
        sound: vec![2],
        quarters: Some([0, 1, 2, 3]),
        off_by: 2.0,
        seconds: 2.0,
        apart: None,
    };
    Source { name, make: Box::new(make), expected: Expected::Plays(plays), options: Vec::new() }
}

/// A file that ffmpeg makes, of which `change` makes another.
pub(crate) fn changed(
    name: &'static str,
    arguments: impl Into<String>,
    change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) -> Source {
    let arguments = arguments.into();
    made(name, move |folder, name| {
        let path = draw::ffmpeg(folder, &format!("before {name}"), &arguments);
        let after = folder.join(name);
        std::fs::write(&after, change(std::fs::read(path).unwrap())).unwrap();
        after
    })
}

impl Source {
    pub(crate) fn make(&self, folder: &Path) -> PathBuf {
        (self.make)(folder, self.name)
    }

    fn plays(mut self, change: impl FnOnce(&mut Plays)) -> Self {
        if let Expected::Plays(plays) = &mut self.expected {
            change(plays);
        }
        self
    }

    pub(crate) fn frames(self, count: usize) -> Self {
        self.plays(|plays| plays.frames = Frames::All(count))
    }

    pub(crate) fn frames_between(self, least: usize, most: usize) -> Self {
        self.plays(|plays| plays.frames = Frames::Between(least, most))
    }

    /// Encoded as it is when nothing is said: repeated frames are left out.
    pub(crate) fn by_default(self, most: usize) -> Self {
        self.plays(|plays| plays.frames = Frames::Fewer(most))
    }

    pub(crate) fn seconds(self, seconds: f64) -> Self {
        self.plays(|plays| plays.seconds = seconds)
    }

    pub(crate) fn apart(self, seconds: f64) -> Self {
        self.plays(|plays| plays.apart = Some(seconds))
    }

    pub(crate) fn size(self, width: u32, height: u32) -> Self {
        self.plays(|plays| plays.size = (width, height))
    }

    /// Without sound.
    pub(crate) fn mute(self) -> Self {
        self.plays(|plays| plays.sound = Vec::new())
    }

    /// Without a picture.
    pub(crate) fn blind(self) -> Self {
        self.plays(|plays| plays.frames = Frames::None)
    }

    /// Channels of each audio track.
    pub(crate) fn sound(self, channels: &[u32]) -> Self {
        self.plays(|plays| plays.sound = channels.to_vec())
    }

    /// Which of the card's quarters is seen top left, top right, bottom left, bottom right.
    pub(crate) fn turned(self, quarters: [usize; 4]) -> Self {
        self.plays(|plays| plays.quarters = Some(quarters))
    }

    /// A codec or a format that does not keep colours: how far they are off.
    pub(crate) fn off_by(self, values: f64) -> Self {
        self.plays(|plays| plays.off_by = values)
    }

    /// Another picture than the card.
    pub(crate) fn other_colours(self) -> Self {
        self.plays(|plays| plays.quarters = None)
    }

    pub(crate) fn refused(mut self, code: &'static str) -> Self {
        self.expected = Expected::Refused(code);
        self
    }

    pub(crate) fn with(mut self, options: &[&'static str]) -> Self {
        self.options.extend(options);
        self
    }
}
