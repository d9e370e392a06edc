//! The streams of exec and attach, as `kubectl` has them behind the API server: containerd serves
//! them by websocket, each message begins with the number of its channel (subprotocol
//! `v4.channel.k8s.io`).

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const LIMIT: Duration = Duration::from_secs(60);

/// An open stream.
pub struct Stream {
    socket: WebSocket<TcpStream>,
    /// What came so far from the program, both outputs.
    pub text: String,
    /// The status that ends it.
    end: Option<Value>,
}

impl Stream {
    /// Connects to the address that the engine gave.
    pub fn connect(url: &str) -> Result<Self> {
        let place =
            url.strip_prefix("http://").with_context(|| format!("not an address: {url}"))?;
        let (host, _) = place.split_once('/').with_context(|| format!("not an address: {url}"))?;
        let stream =
            TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
        stream.set_read_timeout(Some(LIMIT)).context("no time limit")?;
        let uri = format!("ws://{place}").parse().context("not an address")?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("v4.channel.k8s.io");
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|error| anyhow!("{url}: no websocket: {error}"))?;
        Ok(Self { socket, text: String::new(), end: None })
    }

    /// To the program's standard input.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let mut bytes = vec![STDIN];
        bytes.extend_from_slice(text.as_bytes());
        self.socket.send(Message::binary(bytes)).context("cannot send")
    }

    /// Reads until `expected` was seen.
    pub fn expect(&mut self, expected: &str) -> Result<()> {
        let start = Instant::now();
        while !self.text.contains(expected) {
            if self.end.is_some() || start.elapsed() > LIMIT || !self.read()? {
                bail!("{expected:?} did not come: {:?}, end {:?}", self.text, self.end);
            }
        }
        Ok(())
    }

    /// Reads to the end: the program's exit code.
    pub fn exit_code(&mut self) -> Result<i32> {
        while self.end.is_none() && self.read()? {}
        let end = self
            .end
            .as_ref()
            .with_context(|| format!("no status at the end; so far {:?}", self.text))?;
        if end["status"] == "Success" {
            return Ok(0);
        }
        let causes = end["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let code = causes
            .iter()
            .find(|cause| cause["reason"] == "ExitCode")
            .and_then(|cause| cause["message"].as_str());
        code.and_then(|code| code.parse().ok()).with_context(|| format!("no exit code: {end}"))
    }

    /// One message; false at the end.
    fn read(&mut self) -> Result<bool> {
        let bytes = match self.socket.read() {
            Ok(Message::Binary(bytes)) => bytes.to_vec(),
            Ok(Message::Text(text)) => text.as_bytes().to_vec(),
            Ok(Message::Close(_))
            | Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                return Ok(false);
            }
            Ok(_) => return Ok(true),
            Err(error) => return Err(error).with_context(|| format!("so far {:?}", self.text)),
        };
        match bytes.split_first() {
            Some((&(STDOUT | STDERR), text)) => self.text.push_str(&String::from_utf8_lossy(text)),
            Some((&ERROR, text)) if !text.is_empty() => {
                self.end = Some(serde_json::from_slice(text).context("the status is not JSON")?);
            }
            _ => {}
        }
        Ok(true)
    }
}
