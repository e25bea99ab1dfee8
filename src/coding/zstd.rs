//! Frames of RFC 8878.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::append;
use crate::reason::Reason;

pub(super) fn undo(mut frames: &[u8], most: usize) -> Result<Vec<u8>, Reason> {
    let (mut decoder, mut bytes) = (FrameDecoder::new(), Vec::new());
    while !frames.is_empty() {
        if let Some(rest) = after_skippable(frames) {
            frames = rest;
            continue;
        }
        if window(frames).ok_or(Reason::ReplyEncoded)? > LARGEST_WINDOW {
            return Err(Reason::ReplyTooLarge);
        }
        let frame = StreamingDecoder::new_with_decoder(&mut frames, &mut decoder);
        let frame = frame.map_err(|_| Reason::ReplyEncoded)?;
        if frame.decoder.content_size() > most as u64 {
            return Err(Reason::ReplyTooLarge);
        }
        append(frame, &mut bytes, most)?;
    }
    Ok(bytes)
}

/// What follows a skippable frame (section 3.1.2), if this is one.
fn after_skippable(frames: &[u8]) -> Option<&[u8]> {
    let [first, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] = frames else { return None };
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    (first >> 4 == 0x5).then(|| rest.get(length..)).flatten()
}

/// The memory that a frame wants (section 3.1.1.1.2), which the decoder fills before it gives anything; 0 where it
/// is the content's own length.
fn window(frame: &[u8]) -> Option<u64> {
    let [_, _, _, _, descriptor, window, ..] = frame else { return None };
    const SINGLE_SEGMENT: u8 = 0x20;
    if descriptor & SINGLE_SEGMENT != 0 {
        return Some(0);
    }
    let base = 1_u64 << (10 + (window >> 3));
    Some(base + base / 8 * u64::from(window & 7))
}

/// More is not for HTTP (RFC 9659, section 3).
const LARGEST_WINDOW: u64 = 8 << 20;
