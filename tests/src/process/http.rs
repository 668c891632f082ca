//! Just enough HTTP to ask a broker how it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a broker answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks with GET.
///
/// # Errors
/// What the connection came to.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<Response> {
    ask(address, &format!("GET {path}"), "", Duration::from_secs(10))
}

/// Orders with POST; an order may take minutes.
///
/// # Errors
/// What the connection came to.
pub fn post(address: SocketAddr, path: &str, json: &str) -> std::io::Result<Response> {
    ask(address, &format!("POST {path}"), json, Duration::from_secs(300))
}

fn ask(address: SocketAddr, what: &str, body: &str, limit: Duration) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(
        stream,
        "{what} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(malformed)?;
    Ok(Response {
        status,
        body: body.to_owned(),
    })
}
