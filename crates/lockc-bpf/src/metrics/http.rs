//! One answer on one connection, as a socket-activated unit gives it (`Accept=yes` in
//! systemd.socket(5)): nothing runs between two scrapes.

use std::io::{self, Read, Write};

use anyhow::{Result, bail};

use super::CONTENT_TYPE;

/// Bytes of a request, at most; what a scraper sends is below 1 KiB.
const LIMIT: usize = 8 << 10;
/// Headers of a request, at most.
const HEADERS: usize = 64;

/// Reads one request and answers it, with what `metrics` gives if it asks for that.
///
/// # Errors
///
/// Where the connection is closed or the request is not HTTP; the peer is told what it can be told.
pub fn answer(
    mut from: impl Read,
    mut to: impl Write,
    metrics: impl FnOnce() -> Result<String>,
) -> Result<()> {
    let request = match request(&mut from) {
        Ok(request) => request,
        Err(error) => {
            respond(&mut to, "400 Bad Request", "text/plain", "invalid request\n", true)?;
            return Err(error);
        }
    };
    let with_body = request.method != "HEAD";
    let plain = "text/plain; charset=utf-8";
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/metrics") => match metrics() {
            Ok(text) => respond(&mut to, "200 OK", CONTENT_TYPE, &text, with_body)?,
            Err(error) => {
                // The reason is for the journal: it names paths of the host.
                let text = "the metrics cannot be read; see the journal of lockc-metrics\n";
                respond(&mut to, "500 Internal Server Error", plain, text, with_body)?;
                return Err(error);
            }
        },
        ("GET" | "HEAD", "/") => {
            respond(&mut to, "200 OK", plain, "lockc: see /metrics\n", with_body)?;
        }
        ("GET" | "HEAD", _) => {
            respond(&mut to, "404 Not Found", plain, "see /metrics\n", with_body)?;
        }
        _ => respond(&mut to, "405 Method Not Allowed", plain, "GET only\n", true)?,
    }
    Ok(())
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    method: String,
    /// Without the query.
    path: String,
}

fn request(from: &mut impl Read) -> Result<Request> {
    let mut text = Vec::new();
    let mut part = [0; 1024];
    loop {
        let count = from.read(&mut part)?;
        if count == 0 {
            bail!("the connection ended before the request did");
        }
        text.extend_from_slice(&part[..count]);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        if parsed.parse(&text)?.is_complete() {
            let path = parsed.path.unwrap_or_default().split('?').next().unwrap_or_default();
            let method = parsed.method.unwrap_or_default().to_owned();
            return Ok(Request { method, path: path.to_owned() });
        }
        if text.len() > LIMIT {
            bail!("the request is longer than {LIMIT} bytes");
        }
    }
}

fn respond(
    to: &mut impl Write,
    status: &str,
    content_type: &str,
    body: &str,
    with_body: bool,
) -> io::Result<()> {
    write!(
        to,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{}",
        body.len(),
        if with_body { body } else { "" }
    )?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &str) -> (String, bool) {
        let mut answered = Vec::new();
        let result = answer(request.as_bytes(), &mut answered, || Ok("x 1\n# EOF\n".into()));
        (String::from_utf8(answered).unwrap(), result.is_ok())
    }

    #[test]
    fn only_the_metrics_are_served() {
        for (request, status, is_ok) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200", true),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200", true),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "200", true),
            ("GET / HTTP/1.1\r\n\r\n", "200", true),
            ("GET /etc/passwd HTTP/1.1\r\n\r\n", "404", true),
            ("GET /../metrics HTTP/1.1\r\n\r\n", "404", true),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405", true),
            ("GET /metrics HTTP/1.1\r\n", "400", false),
            ("\u{16}\u{3}\u{1}\r\n\r\n", "400", false),
            (&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(LIMIT * 2)), "400", false),
            (&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1)), "400", false),
        ] {
            let (answered, ok) = ask(request);
            assert!(answered.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answered}");
            assert_eq!(ok, is_ok, "{request}");
        }
        let (answered, _) = ask("GET /metrics HTTP/1.1\r\n\r\n");
        let (head, body) = answered.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Length: 10\r\n") && head.contains(CONTENT_TYPE), "{head}");
        assert_eq!(body, "x 1\n# EOF\n");
        let (answered, _) = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(answered.ends_with("\r\n\r\n") && answered.contains("Content-Length: 10"));
    }

    #[test]
    fn the_peer_does_not_learn_the_reason_of_a_failure() {
        let mut answered = Vec::new();
        let result =
            answer(&b"GET /metrics HTTP/1.1\r\n\r\n"[..], &mut answered, || bail!("/secret"));
        assert!(result.is_err());
        let text = String::from_utf8(answered).unwrap();
        assert!(text.starts_with("HTTP/1.1 500 ") && !text.contains("/secret"), "{text}");
    }
}
