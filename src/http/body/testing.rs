//! Bodies for tests.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

/// A body of chunks of these sizes.
pub(crate) fn chunks(sizes: &[usize]) -> Body {
    let chunks: Vec<_> = sizes.iter().map(|n| Ok::<_, Infallible>(vec![7; *n])).collect();
    Body::from_stream(stream::iter(chunks))
}

/// A body that is fed through a channel.
pub(crate) fn fed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let chunks =
        stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|chunk| chunk.map(Ok::<_, Infallible>)));
    (sender, Body::from_stream(chunks))
}
