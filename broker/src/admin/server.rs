//! HTTP connections: how many, how large, how long.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::broker_view::BrokerView;
use super::routes;

/// The largest request body, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Connections at a time; one more ends the oldest, so that idle ones keep no probe out.
const CONNECTIONS_MAX: usize = 64;

/// Time to send a request's head, and to stay idle between two.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// The longest life of one connection, so that a client that reads nothing does not keep a place for ever.
const CONNECTION_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Bytes of a request's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Serves for as long as it is polled, on a `LocalSet`. Connections that are open end with the set.
pub async fn serve(listener: TcpListener, view: Rc<dyn BrokerView>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly: no descriptor is free. Waiting is all that can be done, and clients see a slow answer.
                tracing::warn!(%error, "the admin server could not accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let view = view.clone();
        let service = service_fn(move |request| {
            let view = view.clone();
            async move { Ok::<_, Infallible>(routes::answer(&*view, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let conversation = tokio::task::spawn_local(async move {
            // What fails here is the client's: it went away, was too slow, or spoke no HTTP.
            let _ = tokio::time::timeout(CONNECTION_WITHIN, connection).await;
        });
        open.push_back(conversation.abort_handle());
    }
}
