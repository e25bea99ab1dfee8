//! How bytes leave: in one piece where that costs less.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncWrite, ReadBuf};

/// Writes some of `slices`. A system call that takes a list costs more than one that takes a piece, and more
/// than it costs to copy a head and a small body.
pub(crate) fn poll_write_slices(
    writer: Pin<&mut (impl AsyncWrite + ?Sized)>,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [slice] = slices {
        return writer.poll_write(context, slice);
    }
    let mut space = [const { MaybeUninit::uninit() }; MOST_JOINED];
    let mut joined = ReadBuf::uninit(&mut space);
    for slice in slices {
        if slice.len() > joined.remaining() {
            return writer.poll_write_vectored(context, slices);
        }
        joined.put_slice(slice);
    }
    writer.poll_write(context, joined.filled())
}

/// Room for the head of a reply with a session's token, which is about a KiB, and a small body behind it.
const MOST_JOINED: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_a_beginning_of_what_was_given(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6000), 0..5),
            room in 1..16_384_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut written = io::Cursor::new(vec![0; room]);
            let mut writer = pin!(&mut written);
            let write = poll_fn(|context| poll_write_slices(writer.as_mut(), context, &slices));
            let count = runtime.block_on(write).unwrap();
            let all = pieces.concat();
            prop_assert_eq!(&written.get_ref()[..count], &all[..count]);
            prop_assert!(count > 0 || all.is_empty() || pieces[0].is_empty());
        }
    }
}
