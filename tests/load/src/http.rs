//! One keep-alive connection of HTTP/1.1, as small as a client can be.
//!
//! A general client costs as much per request as the server that is measured. Responses must have a `Content-Length`.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Space for a usual response.
const BUFFER: usize = 8 * 1024;

/// A connection to one server. Requests are sent one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, valid until the next request.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// Status line and header fields.
    pub head: &'a [u8],
    /// Body.
    pub body: &'a [u8],
}

/// Where the parts of a response are.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    status: u16,
    head: Range<usize>,
    body: Range<usize>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends a request and reads the complete response.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let Parts { status, head, body } = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(parts) = parse(&self.buffer)? {
                break parts;
            }
        };
        Ok(Response { status, head: &self.buffer[head], body: &self.buffer[body] })
    }
}

impl Response<'_> {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        fields(self.head).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

/// Appends a request. `fields` are complete lines.
pub fn write_request(out: &mut Vec<u8>, method: &str, path: &str, host: &str, fields: &str, body: &str) {
    for part in [method, " ", path, " HTTP/1.1\r\nhost: ", host, "\r\n", fields] {
        out.extend_from_slice(part.as_bytes());
    }
    if !body.is_empty() {
        let length = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        out.extend_from_slice(length.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
}

/// The length of a message's head with the empty line, once it is complete.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// The length that a head declares for the body.
pub(crate) fn content_length(head: &[u8]) -> io::Result<usize> {
    let mut length = 0;
    for (name, value) in fields(head) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(io::Error::other)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    Ok(length)
}

fn parse(bytes: &[u8]) -> io::Result<Option<Parts>> {
    let Some(head) = head_length(bytes) else { return Ok(None) };
    let end = head + content_length(&bytes[..head])?;
    let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|text| text.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok((bytes.len() >= end).then_some(Parts { status, head: 0..head, body: head..end }))
}

fn fields(head: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':')).map(|(name, value)| (name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 303 See Other\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 4\r\n\r\nbody";

    #[test]
    fn a_response_is_complete_with_the_last_byte_of_its_body() {
        let complete = parse(RESPONSE).unwrap().unwrap();
        assert_eq!((complete.status, &RESPONSE[complete.body]), (303, b"body".as_slice()));
        for end in 0..RESPONSE.len() {
            assert_eq!(parse(&RESPONSE[..end]).unwrap(), None, "{end} bytes");
        }
    }

    #[test]
    fn a_response_without_a_length_has_no_body_and_a_chunked_one_is_refused() {
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().map(|parts| parts.body.len()), Some(0));
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn fields_are_found_without_regard_to_case() {
        let response = Response { status: 303, head: RESPONSE, body: b"" };
        assert_eq!(response.field("set-cookie"), Some("a=b; Path=/"));
        assert_eq!(response.field("location"), None);
    }

    #[test]
    fn a_request_with_a_body_declares_its_length() {
        let mut request = Vec::new();
        write_request(&mut request, "POST", "/a", "h", "x: y\r\n", "{}");
        let head = head_length(&request).unwrap();
        assert_eq!((content_length(&request[..head]).unwrap(), &request[head..]), (2, b"{}".as_slice()));
    }
}
