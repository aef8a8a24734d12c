//! Walking ISO BMFF boxes (ISO/IEC 14496-12, clause 4.2) without recursion and without trusting their sizes.

use mp4_atom::Atom;

use super::CmafError;

/// Bytes of the short box header.
const HEADER: usize = 8;

/// One box: its type, where it begins and what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Boxed<'a> {
    pub(super) kind: [u8; 4],
    /// First byte of the header, from the beginning of the walked bytes.
    pub(super) at: usize,
    /// First byte of the body.
    pub(super) body_at: usize,
    pub(super) body: &'a [u8],
}

impl Boxed<'_> {
    /// First byte after the box.
    pub(super) fn end(&self) -> usize {
        self.body_at + self.body.len()
    }
}

/// The boxes that follow each other in `bytes`, which they fill to the last byte. Ends after the first error.
///
/// A box of size 0 (to the end of the file) is refused: nothing in CMAF that we make is open-ended, and in the middle
/// of a file it would swallow what follows.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = Result<Boxed<'_>, CmafError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let found = box_at(bytes, at);
        at = found.as_ref().map_or(bytes.len(), Boxed::end);
        Some(found)
    })
}

fn box_at(bytes: &[u8], at: usize) -> Result<Boxed<'_>, CmafError> {
    let rest = &bytes[at..];
    let left = rest.len();
    let short_header = CmafError::BoxHeader { at, left };
    let (size, after) = rest.split_first_chunk::<4>().ok_or(short_header.clone())?;
    let (kind, after) = after.split_first_chunk::<4>().ok_or(short_header.clone())?;
    let (size, header) = match u32::from_be_bytes(*size) {
        1 => (u64::from_be_bytes(*after.first_chunk::<8>().ok_or(short_header)?), HEADER + 8),
        size => (u64::from(size), HEADER),
    };
    match usize::try_from(size) {
        Ok(whole) if whole >= header && whole <= left => {
            Ok(Boxed { kind: *kind, at, body_at: at + header, body: &rest[header..whole] })
        }
        _ => Err(CmafError::BoxSize { at, size, left }),
    }
}

/// The only box of a kind among those in `bytes`, or nothing.
pub(super) fn optional<'a>(bytes: &'a [u8], kind: &'static str) -> Result<Option<Boxed<'a>>, CmafError> {
    let mut found = None;
    for item in boxes(bytes) {
        let item = item?;
        if item.kind == kind.as_bytes() && found.replace(item).is_some() {
            return Err(CmafError::Several(kind));
        }
    }
    Ok(found)
}

/// The only box of a kind among those in `bytes`.
pub(super) fn only<'a>(bytes: &'a [u8], kind: &'static str) -> Result<Boxed<'a>, CmafError> {
    optional(bytes, kind)?.ok_or(CmafError::Missing(kind))
}

/// The body of the box at the end of a path of containers, each holding one of the next.
pub(super) fn along<'a>(bytes: &'a [u8], path: &[&'static str]) -> Result<&'a [u8], CmafError> {
    path.iter().try_fold(bytes, |bytes, kind| only(bytes, kind).map(|found| found.body))
}

/// Reads a leaf box's body with `mp4-atom`, which must consume all of it.
pub(super) fn leaf<T: Atom>(mut body: &[u8], kind: &'static str) -> Result<T, CmafError> {
    let malformed = |reason: String| CmafError::Malformed { kind, reason };
    let atom = T::decode_body(&mut body).map_err(|error| malformed(error.to_string()))?;
    if body.is_empty() { Ok(atom) } else { Err(malformed(format!("{} bytes too long", body.len()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Result<Vec<[u8; 4]>, CmafError> {
        boxes(bytes).map(|item| item.map(|item| item.kind)).collect()
    }

    #[test]
    fn sizes_that_lie_are_errors() {
        let table: &[(&[u8], bool)] = &[
            (b"", true),
            (b"\0\0\0\x08free", true),
            (b"\0\0\0\x08free\0\0\0\x09skip!", true),
            (b"\0\0\0\x01free\0\0\0\0\0\0\0\x11!", true),
            (b"\0\0\0\x00free", false),
            (b"\0\0\0\x07free", false),
            (b"\0\0\0\x09free", false),
            (b"\0\0\0", false),
            (b"\0\0\0\x08fre", false),
            (b"\0\0\0\x08free\0", false),
            (b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f", false),
            (b"\0\0\0\x01free\0\0\0\0\0\0\0", false),
            (b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff", false),
            (b"\xff\xff\xff\xfffree", false),
        ];
        for (bytes, good) in table {
            assert_eq!(kinds(bytes).is_ok(), *good, "{bytes:?}");
        }
    }

    #[test]
    fn a_million_nested_boxes_are_read_one_level_deep() {
        let mut bytes = Vec::new();
        for depth in (1..=1_000_000u32).rev() {
            bytes.extend((depth * 8).to_be_bytes());
            bytes.extend(b"moov");
        }
        assert_eq!(kinds(&bytes), Ok(vec![*b"moov"]));
    }
}
