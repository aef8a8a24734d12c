//! Decoders that give a picture a second time, because nothing in it has changed, give it the time that it had before. Its
//! own time lies between that and the next one's.

use gstreamer as gst;

/// Times of a run of pictures, one after the other.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Time of the picture that went last.
    last: Option<gst::ClockTime>,
    /// A picture that came after one with another time, to go next.
    ahead: Option<gst::Sample>,
}

impl Repeats {
    /// The next picture of those that `more` gives, none at their end.
    pub(super) fn next<E>(
        &mut self,
        mut more: impl FnMut() -> Result<Option<gst::Sample>, E>,
    ) -> Result<Option<gst::Sample>, E> {
        let sample = match self.ahead.take() {
            Some(sample) => Some(sample),
            None => more()?,
        };
        let Some(mut sample) = sample else { return Ok(None) };
        let time = time_of(&sample);
        if time.is_some() && time == self.last {
            self.ahead = more()?;
            let next = self.ahead.as_ref().and_then(time_of);
            if let Some(between) = time.zip(next).and_then(|(time, next)| between(time, next))
                && let Some(mut buffer) = sample.buffer_owned()
            {
                buffer.make_mut().set_pts(between);
                sample.make_mut().set_buffer(Some(&buffer));
            }
        }
        self.last = time_of(&sample).or(self.last);
        Ok(Some(sample))
    }
}

fn time_of(sample: &gst::Sample) -> Option<gst::ClockTime> {
    sample.buffer()?.pts()
}

/// The middle of two times; none where the second is not later.
fn between(time: gst::ClockTime, next: gst::ClockTime) -> Option<gst::ClockTime> {
    (next > time).then(|| time + (next - time) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retimed(times: &[u64]) -> Vec<u64> {
        gst::init().unwrap();
        let mut samples = times.iter().map(|ms| {
            let mut buffer = gst::Buffer::new();
            buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(*ms));
            gst::Sample::builder().buffer(&buffer).build()
        });
        let mut repeats = Repeats::default();
        let next = || repeats.next(|| Ok::<_, ()>(samples.next())).unwrap();
        std::iter::from_fn(next).map(|sample| time_of(&sample).unwrap().mseconds()).collect()
    }

    #[test]
    fn a_repeated_picture_lies_between_its_neighbours() {
        assert_eq!(retimed(&[0, 40, 40, 120, 160]), [0, 40, 80, 120, 160]);
        assert_eq!(retimed(&[0, 40, 80, 120]), [0, 40, 80, 120], "nothing is repeated");
        assert_eq!(retimed(&[0, 0, 40]), [0, 20, 40]);
    }

    #[test]
    fn what_has_no_place_between_stays() {
        assert_eq!(retimed(&[0, 40, 40]), [0, 40, 40], "nothing follows");
        assert_eq!(retimed(&[0, 40, 40, 40, 80]), [0, 40, 40, 60, 80]);
        assert_eq!(retimed(&[]), [] as [u64; 0]);
    }
}
