//! The provider of a benchmark and the API behind it.
//!
//! It accepts every code and every refresh token. The mock provider of the test kit checks and records what it receives, which
//! costs more than the server that is measured.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{content_length, head_length};

/// The response of the API.
const ACCOUNT: &str =
    r#"{"id":"4f8e5c1a","login":"someone","name":"Some One","email":"someone@provider.example","plan":"team"}"#;
/// Lifetime of access tokens in seconds: ten years.
const LIFETIME: u32 = 315_360_000;

/// Serves connections until the task is dropped. `GET /token_requests` returns the number of token requests so far.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let tokens = Arc::<AtomicU64>::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tokens = tokens.clone();
        // A connection that the client closes ends with an error.
        tokio::spawn(async move { drop(respond(stream, &tokens).await) });
    }
}

async fn respond(mut stream: TcpStream, tokens: &AtomicU64) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let Some(head) = head_length(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let end = head + content_length(&buffer[..head])?;
        while buffer.len() < end {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = match buffer.split(|byte| *byte == b' ').nth(1) {
            Some(b"/token") => token_response(tokens.fetch_add(1, Ordering::Relaxed)),
            Some(b"/token_requests") => tokens.load(Ordering::Relaxed).to_string(),
            _ => ACCOUNT.to_owned(),
        };
        let length = body.len();
        let response =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(response.as_bytes()).await?;
        buffer.drain(..end);
    }
}

fn token_response(number: u64) -> String {
    let (access, refresh) = (token("at", number), token("rt", number));
    format!(
        r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{LIFETIME},"refresh_token":"{refresh}","scope":"files.read"}}"#
    )
}

/// A token of 64 characters.
pub(crate) fn token(kind: &str, number: u64) -> String {
    format!("{kind}_{number:061}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_the_usual_length() {
        assert_ne!(token("at", 1), token("at", 2));
        assert_eq!(token("at", u64::MAX).len(), 64);
    }
}
