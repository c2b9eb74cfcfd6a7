//! The size of the console's script as it is served to a browser.

use std::net::SocketAddr;
use std::path::Path;

use crate::Result;
use crate::http::{Connection, write_request};

/// The bytes of the scripts that the first page of the console names, encoded as a browser accepts them.
pub async fn script_bytes(server: SocketAddr) -> Result<u64> {
    let mut connection = Connection::open(server).await?;
    let page = get(&mut connection, server, "/", "text/html").await?;
    let page = String::from_utf8(page)?;
    let is_script = |part: &&str| part.contains("/assets/") && Path::new(part).extension().is_some_and(|kind| kind == "js");
    let scripts = page.split('"').filter(is_script);
    let (mut bytes, mut count) = (0, 0);
    for script in scripts {
        bytes += get(&mut connection, server, script, "*/*").await?.len() as u64;
        count += 1;
    }
    if count == 0 { Err("the console names no script".into()) } else { Ok(bytes) }
}

async fn get(connection: &mut Connection, server: SocketAddr, path: &str, accept: &str) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    let encoding = if accept == "*/*" { "accept-encoding: gzip, deflate, br\r\n" } else { "" };
    let fields = format!("x-forwarded-user: u_00000\r\naccept: {accept}\r\n{encoding}");
    write_request(&mut request, "GET", path, &server.to_string(), &fields, "");
    let response = connection.exchange(&request).await?;
    let is_script = accept == "*/*";
    match response.status {
        200 if is_script && response.field("content-encoding") != Some("br") => {
            Err(format!("{path} is served without brotli").into())
        }
        200 => Ok(response.body.to_vec()),
        status => Err(format!("{path}: {status} {}", response.text()).into()),
    }
}
