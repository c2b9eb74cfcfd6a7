//! The memory that a response takes.

use grantry_provider_oauth2::{HttpRequest, HttpTransport as _, TransportError};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};

use super::raw_server::RawServer;
use super::{get, refused, transport};
use crate::Limits;

/// A gzip member of this many MiB of blanks, in about a thousandth of their size.
fn bomb(mebibytes: u32) -> Vec<u8> {
    let flags = create_comp_flags_from_zip_params(9, -15, 0);
    let (blanks, mut block) = (vec![b' '; 1024 * 1024], vec![0; 64 * 1024]);
    // After a full flush a block refers to no earlier one, so it can be repeated.
    let written = deflate(&mut CompressorOxide::new(flags), &blanks, &mut block, MZFlush::Full);
    assert_eq!((written.status, written.bytes_consumed), (Ok(MZStatus::Ok), blanks.len()));
    let mut zipped = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    zipped.extend(block[..written.bytes_written].repeat(mebibytes as usize));
    // An empty last block, the checksum, which is not compared, and the size.
    zipped.extend([3, 0, 0, 0, 0, 0]);
    zipped.extend((mebibytes << 20).to_le_bytes());
    zipped
}

/// The most memory that this process has used so far, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn r71_a_body_of_200_mib_takes_no_more_memory_than_the_limit() {
    const LIMIT: usize = 2 * 1024 * 1024;
    let respond = async |mebibytes| {
        let zipped = bomb(mebibytes);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", zipped.len());
        RawServer::responding([head.into_bytes(), zipped].concat()).await
    };
    let (fitting, bomb) = (respond(2).await, respond(200).await);
    let transport = transport(Limits::OAUTH, &[&fitting, &bomb]);
    let request = |server: &RawServer| HttpRequest { max_body: LIMIT, ..get(&server.url("/")) };
    let response = transport.send(request(&fitting)).await.ok().unwrap();
    assert_eq!((response.body.len(), response.body.capacity()), (LIMIT, LIMIT), "the buffer does not grow");
    drop(response);
    let before = peak_memory();
    assert_eq!(refused(transport.send(request(&bomb)).await), TransportError::TooLarge);
    // The rest is for the encoded body, and for other tests if they share this process.
    assert!(peak_memory() - before < LIMIT + 16 * 1024 * 1024, "{before} {}", peak_memory());
}
