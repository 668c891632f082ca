//! Questions and orders to a broker's admin interface.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::exit::Exit;
use super::failure::Failure;
use crate::admin::{DestinationStatus, DestinationsAnswer, ErrorAnswer, Status};

/// Time to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Time for an answer to a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Time for an order to be carried out: a little more than the broker gives itself.
const ORDER_WITHIN: Duration = Duration::from_secs(11 * 60);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What one page is asked for, at most.
const PAGE_MAX: usize = 1000;

/// The admin interface of one broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminClient {
    address: SocketAddr,
}

impl AdminClient {
    pub(super) fn new(address: SocketAddr) -> AdminClient {
        AdminClient { address }
    }

    /// Reads `http://host:port`, `host:port`, `host`.
    pub(super) fn parse(text: &str) -> Result<AdminClient, Failure> {
        let wrong = |what: String| {
            Failure::new(
                Exit::Usage,
                what,
                text,
                "give an admin address such as http://127.0.0.1:8161",
            )
        };
        let rest = text.strip_prefix("http://").unwrap_or(text);
        if rest.contains("://") {
            return Err(wrong("the admin interface speaks plain http only".to_string()));
        }
        let rest = rest.split('/').next().unwrap_or(rest);
        let found = rest
            .to_socket_addrs()
            .or_else(|_| (rest, 8161).to_socket_addrs())
            .map_err(|error| wrong(format!("this is no address that can be found: {error}")))?
            .next();
        Ok(AdminClient::new(
            found.ok_or_else(|| wrong("this name has no address".to_string()))?,
        ))
    }

    /// How the broker is.
    pub(super) fn status(&self) -> Result<Status, Failure> {
        self.question("/status?format=json")
    }

    /// All destinations; `seen` hears after each page how many there are so far.
    pub(super) fn destinations(&self, mut seen: impl FnMut(usize)) -> Result<Vec<DestinationStatus>, Failure> {
        let mut all = Vec::new();
        let mut path = "/api/destinations".to_string();
        loop {
            let page: DestinationsAnswer = self.question(&path)?;
            all.extend(page.destinations);
            seen(all.len());
            let Some(next) = page.next else { return Ok(all) };
            path = format!("/api/destinations?after={}", encode(&next));
        }
    }

    /// One destination.
    pub(super) fn destination(&self, name: &str) -> Result<DestinationStatus, Failure> {
        self.question(&format!("/api/destination?name={}", encode(name)))
    }

    /// What lies on several pages, at most `limit` of it. `question` ends with `?` or `&`; `split` takes a page apart into what it holds and where it goes on; `seen` hears after each how much there is so far.
    pub(super) fn all<A: DeserializeOwned, T>(
        &self,
        question: &str,
        limit: Option<u64>,
        mut split: impl FnMut(A) -> (Vec<T>, Option<String>),
        mut seen: impl FnMut(usize),
    ) -> Result<Vec<T>, Failure> {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let count = PAGE_MAX.min(limit - all.len());
            let (page, next) = split(self.question(&format!("{question}limit={count}{after}"))?);
            all.extend(page);
            all.truncate(limit);
            seen(all.len());
            match next {
                Some(next) if all.len() < limit => after = format!("&after={}", encode(&next)),
                Some(_) | None => return Ok(all),
            }
        }
    }

    /// POST with an order as JSON.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, order: &serde_json::Value) -> Result<T, Failure> {
        self.call(Method::POST, path, order.to_string(), ORDER_WITHIN)
    }

    /// DELETE of a destination.
    pub(super) fn delete_destination<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        self.delete(&format!("/api/destinations?name={}", encode(name)))
    }

    /// DELETE of what the path names.
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, String::new(), ORDER_WITHIN)
    }

    fn question<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, String::new(), ANSWER_WITHIN)
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
        within: Duration,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::new(
                    Exit::Failure,
                    format!("no event loop can be made: {error}"),
                    "this machine",
                    "raise the limit of open files (ulimit -n) or free memory, then try again",
                )
            })?;
        let (status, answer) = runtime.block_on(self.exchange(method, path, body, within))?;
        let not_ours = |error: serde_json::Error| {
            Failure::new(
                Exit::Unreachable,
                format!("what answers is no Holdfast of this kind ({status}: {error})"),
                self.url(),
                "check the address: something else may be listening there",
            )
        };
        match status.is_success() {
            true => serde_json::from_slice(&answer).map_err(not_ours),
            false => Err(serde_json::from_slice::<ErrorAnswer>(&answer)
                .map_err(not_ours)?
                .error
                .into()),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let connecting = tokio::time::timeout(CONNECT_WITHIN, tokio::net::TcpStream::connect(self.address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(format!("no broker answers: {error}"))),
            Err(_) => {
                let seconds = CONNECT_WITHIN.as_secs();
                return Err(self.unreachable(format!("no broker answers within {seconds} s")));
            }
        };
        let answering = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, self.address.to_string())
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body)))?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.to_bytes()))
        };
        match tokio::time::timeout(within, answering).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unreachable(format!("the broker's answer broke off: {error}"))),
            Err(_) => Err(self.unreachable(format!("the broker did not answer within {} s", within.as_secs()))),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn unreachable(&self, what: String) -> Failure {
        Failure::new(
            Exit::Unreachable,
            what,
            self.url(),
            "start one with `holdfast run`, or name its admin address with --admin or its directory with --data",
        )
    }
}

/// Percent-encoding of everything but letters, digits and a few harmless signs.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
