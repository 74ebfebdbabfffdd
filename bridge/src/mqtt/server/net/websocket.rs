//! MQTT over WebSocket, section 6 of MQTT 5.
//!
//! The frames' borders mean nothing to MQTT [MQTT-6.0.0-2], so a connection is made a stream of
//! bytes again. Text frames end it [MQTT-6.0.0-1]. A frame has to fit in memory before its first
//! byte can be read; so until the server has said something, which is its CONNACK, frames may be no
//! larger than what a stranger may send.
//!
//! A connection belongs to one task: reading may have to write, a pong for instance.

use bytes::{Buf, Bytes, BytesMut};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tungstenite::error::CapacityError;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Larger requests are refused. Cookies of pages take the most.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// Largest frame from a client that the server has not answered yet: as large as a CONNECT may be,
/// and its header.
const STRANGER_BYTES_MAX: usize = (64 << 10) + 8;

/// Bytes read at a time; each connection keeps a buffer of this size.
const READ_BYTES: usize = 4 << 10;

/// Most bytes of one frame that is sent. What the socket does not take of it is kept, and nothing
/// more is taken before that has gone.
const WRITE_BYTES: usize = 64 << 10;

/// The subprotocol by its names: MQTT 3.1's clients still say the second one.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What is told to who is not speaking WebSocket, or not MQTT over it.
const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 60\r\n\r\nthis is MQTT over WebSocket: ask for the subprotocol `mqtt`\n";

/// A WebSocket as the stream of bytes that it carries.
pub(super) struct WebSocket<S> {
    stream: S,
    context: WebSocketContext,
    /// What came and was not read yet.
    arrived: Bytes,
    /// Whether the socket did not take all of what was written.
    is_blocked: bool,
    /// The frame limit once the server has spoken.
    limit: Option<usize>,
}

/// Lets a client greet. `limit` is the largest frame it may send once it is known.
pub(super) async fn accept<S>(mut stream: S, limit: usize) -> io::Result<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = BytesMut::with_capacity(1 << 10);
    let request = match read_request(&mut stream, &mut head).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error),
        read => Ok(read?),
    };
    let answer = match request.and_then(|request| answer_to(&request)) {
        Ok(answer) => answer,
        Err(error) => {
            stream.write_all(REFUSAL).await?;
            stream.shutdown().await?;
            return Err(error);
        }
    };
    stream.write_all(&answer).await?;
    stream.flush().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        // Every frame goes out at once, and room for one that does not, and for a pong.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * WRITE_BYTES)
        .max_frame_size(Some(STRANGER_BYTES_MAX))
        .max_message_size(Some(STRANGER_BYTES_MAX));
    let context = WebSocketContext::from_partially_read(head.to_vec(), Role::Server, Some(config));
    Ok(WebSocket { stream, context, arrived: Bytes::new(), is_blocked: false, limit: Some(limit) })
}

/// Reads the request, and leaves in `head` what follows it.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S, head: &mut BytesMut) -> io::Result<Request> {
    loop {
        // Looked at only when it is whole, or a slow client would have it parsed for each byte.
        if head.windows(4).any(|four| four == b"\r\n\r\n")
            && let Some((length, request)) = Request::try_parse(head).map_err(invalid)?
        {
            head.advance(length);
            return Ok(request);
        }
        if head.len() >= REQUEST_BYTES_MAX {
            return Err(invalid("the request is too long"));
        }
        let room = REQUEST_BYTES_MAX - head.len();
        if (&mut *stream).take(room as u64).read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Agrees on the subprotocol [MQTT-6.0.0-3] [MQTT-6.0.0-4].
fn answer_to(request: &Request) -> io::Result<Vec<u8>> {
    let mut response = create_response(request).map_err(invalid)?;
    let offered: Vec<&str> = request
        .headers()
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let agreed = PROTOCOLS
        .into_iter()
        .find(|protocol| offered.contains(protocol))
        .ok_or_else(|| invalid("the client does not offer the subprotocol `mqtt`"))?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(agreed));
    let mut answer = Vec::new();
    write_response(&mut answer, &response).map_err(invalid)?;
    Ok(answer)
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Reads the next bytes; none means the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let mut stream = Polled { stream: &mut self.stream, cx };
            match self.context.read(&mut stream) {
                Ok(Message::Binary(bytes)) if !bytes.is_empty() => return Poll::Ready(Ok(bytes)),
                // The answer to a ping or a close goes out with the next turn.
                Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                Ok(Message::Text(_) | Message::Frame(_)) => {
                    return Poll::Ready(Err(self.refuse(cx, CloseCode::Unsupported, "a text frame")));
                }
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Poll::Ready(Err(self.refuse(cx, CloseCode::Size, "a frame above the limit")));
                }
                Err(error) => return outcome(error).map_ok(|()| Bytes::new()),
            }
        }
    }

    /// Tells the client why, if it still listens.
    fn refuse(&mut self, cx: &mut Context<'_>, code: CloseCode, reason: &'static str) -> io::Error {
        let mut stream = Polled { stream: &mut self.stream, cx };
        let frame = CloseFrame { code, reason: reason.into() };
        // The connection ends either way.
        let _ = self.context.close(&mut stream, Some(frame));
        invalid(reason)
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Polled { stream: &mut self.stream, cx };
        let sent = match self.context.flush(&mut stream) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => outcome(error),
        };
        self.is_blocked = sent.is_pending();
        sent
    }
}

/// What an error means to a stream: that it has to wait, that it is at its end, or that it broke.
fn outcome(error: Error) -> Poll<io::Result<()>> {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Error::Io(error) => Poll::Ready(Err(error)),
        Error::ConnectionClosed | Error::AlreadyClosed => Poll::Ready(Ok(())),
        // A client that leaves without a word of WebSocket's: MQTT sees it as it sees any other.
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Poll::Ready(Ok(()))
        }
        other => Poll::Ready(Err(invalid(other))),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.arrived.is_empty() {
            match self.poll_bytes(cx) {
                Poll::Ready(Ok(bytes)) => self.arrived = bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let length = self.arrived.len().min(buffer.remaining());
        buffer.put_slice(&self.arrived.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.is_blocked {
            match self.poll_sent(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let length = bytes.len().min(WRITE_BYTES);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..length]));
        let this = &mut *self;
        let mut stream = Polled { stream: &mut this.stream, cx };
        match this.context.write(&mut stream, message) {
            Ok(()) => {}
            // It is kept, and goes out before the next one.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => this.is_blocked = true,
            Err(Error::Io(error)) => return Poll::Ready(Err(error)),
            Err(_) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        if let Some(limit) = this.limit.take() {
            this.context.set_config(|config| {
                config.max_frame_size = Some(limit.max(STRANGER_BYTES_MAX));
                config.max_message_size = config.max_frame_size;
            });
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut stream = Polled { stream: &mut this.stream, cx };
        // Called again it only sends what is left.
        if let Err(error) = this.context.close(&mut stream, None)
            && outcome(error).is_pending()
        {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// A stream in the middle of being polled, as one that does not block.
struct Polled<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Polled<'_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        let read = Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer);
        would_block(read).map(|()| buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Polled<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        would_block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        would_block(Pin::new(&mut *self.stream).poll_flush(self.cx))
    }
}

fn would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
