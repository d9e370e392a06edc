//! `/healthz`, `/readyz` and `/metrics` by HTTP.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration, time::Instant};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::warn;

use super::health::{Health, joined};

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// How long a connection may take from its beginning to its end.
const CONNECTION: Duration = Duration::from_secs(30);

/// What is served.
#[derive(Clone)]
pub struct Site {
    /// How the reporter is.
    pub health: Health,
    /// The host's metrics.
    pub metrics: fn() -> Result<String>,
    /// Their content type.
    pub content_type: &'static str,
}

/// Serves until the process ends.
///
/// # Errors
///
/// Where the address cannot be used.
pub async fn serve(address: SocketAddr, site: Site) -> Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    accept(listener, site).await
}

async fn accept(listener: TcpListener, site: Site) -> Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place =
            Arc::clone(&places).acquire_owned().await.context("no connection may be made")?;
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, site.clone(), place))),
            Err(error) => {
                warn!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, site: Site, _place: OwnedSemaphorePermit) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = site.answer(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // The peer is gone, or was too slow.
    let _ = timeout(CONNECTION, connection).await;
}

impl Site {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const PLAIN: &str = "text/plain; charset=utf-8";
        let yes_or_no = |yes: bool, text: &'static str| match yes {
            true => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
            false => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, text.to_owned()),
        };
        let (status, content_type, body) = match path {
            _ if method != Method::GET && method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET only\n".to_owned())
            }
            "/healthz" => {
                yes_or_no(self.health.is_alive(Instant::now()), "the reporter does not look\n")
            }
            "/readyz" => {
                yes_or_no(self.health.is_ready(), "the API server was not told of the node yet\n")
            }
            "/metrics" => match (self.metrics)() {
                Ok(host) => {
                    let text = joined(&host, &self.health.metrics());
                    (StatusCode::OK, self.content_type, text)
                }
                // The reason names paths of the host.
                Err(error) => {
                    warn!("metrics: {error:#}");
                    let text = "the metrics cannot be read; see the reporter's log\n".to_owned();
                    (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, text)
                }
            },
            _ => (StatusCode::NOT_FOUND, PLAIN, "see /metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        let content_type = hyper::header::HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    fn site(health: &Health, metrics: fn() -> Result<String>) -> Site {
        Site { health: health.clone(), metrics, content_type: "application/openmetrics-text" }
    }

    fn with_server(site: Site, test: impl AsyncFnOnce(SocketAddr)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::select! {
                result = accept(listener, site) => panic!("{result:?}"),
                () = test(address) => {}
            }
        });
    }

    #[test]
    fn probes_and_metrics_are_answered() {
        let health = Health::new(Instant::now());
        with_server(site(&health, || Ok("x 1\n# EOF\n".into())), async |address| {
            let get =
                async |path: &str| ask(address, &format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
            assert!(get("/readyz").await.starts_with("HTTP/1.1 503"));
            health.told();
            assert!(get("/readyz").await.starts_with("HTTP/1.1 200"));
            let metrics = get("/metrics").await;
            assert!(metrics.contains("content-type: application/openmetrics-text"), "{metrics}");
            assert!(metrics.contains("\r\n\r\nx 1\n") && metrics.ends_with("# EOF\n"), "{metrics}");
            assert!(get("/etc/passwd").await.starts_with("HTTP/1.1 404"));
            let post = ask(address, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await;
            assert!(post.starts_with("HTTP/1.1 405"), "{post}");
            assert!(!ask(address, "\u{16}\u{3}\u{1}\r\n\r\n").await.contains(" 200 "));
        });
    }

    #[test]
    fn connections_that_say_nothing_leave_room_for_others() {
        let health = Health::new(Instant::now());
        with_server(site(&health, || Ok(String::new())), async |address| {
            let mut silent = Vec::new();
            for _ in 0..CONNECTIONS - 1 {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            let answer = ask(address, "GET /healthz HTTP/1.1\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        });
    }

    #[test]
    fn a_scraper_does_not_learn_why_there_are_no_metrics() {
        let health = Health::new(Instant::now());
        with_server(site(&health, || anyhow::bail!("/secret")), async |address| {
            let answer = ask(address, "GET /metrics HTTP/1.1\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 500") && !answer.contains("/secret"), "{answer}");
        });
    }
}
