//! What a WebSocket client has sent of messages that have not all come, counted among the memory of
//! connections.
//!
//! Knows how many bytes a message takes on the wire, and nothing of what is in it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::memory::{Budget, Held};
use crate::limits::{MAX_SIGNAL, MAX_UNCOUNTED_SIGNAL};

/// A stream that counts what comes.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    /// Bytes that have come and are not known to have been taken as messages. The heads of a message
    /// in several parts are never known to be.
    waiting: usize,
    held: Held,
    is_refused: bool,
}

impl<S> Metered<S> {
    /// `came` bytes have come before.
    pub(super) fn new(stream: S, came: usize, memory: &Arc<Budget>) -> Self {
        Self {
            stream,
            waiting: came,
            held: memory.hold(counted(came)),
            is_refused: false,
        }
    }

    /// Says that a message of this length has been taken. Returns whether nothing else has come.
    pub(super) fn message(&mut self, length: usize) -> bool {
        // RFC 6455, section 5.2: two bytes, a longer length if need be, and the mask.
        let head = match length {
            0..=125 => 6,
            126..=0xffff => 8,
            _ => 14,
        };
        self.waiting = self.waiting.saturating_sub(head + length);
        self.held.set(counted(self.waiting));
        self.waiting == 0
    }

    /// Whether the stream was ended because connections held too much together.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }
}

fn counted(waiting: usize) -> usize {
    // No message is longer, and what is left of heads is not there any more.
    let most = 2 * MAX_SIGNAL;
    waiting.saturating_sub(MAX_UNCOUNTED_SIGNAL).min(most)
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.waiting += buffer.filled().len() - before;
        let counted = counted(self.waiting);
        self.held.set(counted);
        if counted > 0 && self.held.is_too_much() {
            self.is_refused = true;
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
