//! The least a client can do: requests on one kept connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One kept connection to a Docker Engine API.
pub struct Api {
    stream: BufReader<UnixStream>,
}

impl Api {
    /// Connects to `unix://…`.
    pub fn connect(host: &str) -> Result<Self> {
        let path = host.strip_prefix("unix://").context("not a unix:// address")?;
        Ok(Self { stream: BufReader::new(UnixStream::connect(path)?) })
    }

    /// One container from nothing to nothing.
    pub fn cycle(&mut self) -> Result<()> {
        let body = r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"NetworkMode":"none"}}"#;
        let made: Value = serde_json::from_slice(&self.call("POST", "/containers/create", body)?)?;
        let id = made["Id"].as_str().context("create returned no id")?.to_string();
        self.call("POST", &format!("/containers/{id}/start"), "")?;
        let waited: Value = serde_json::from_slice(&self.call("POST", &format!("/containers/{id}/wait"), "")?)?;
        if waited["StatusCode"] != 0 {
            bail!("the container failed: {waited}");
        }
        self.call("DELETE", &format!("/containers/{id}"), "")?;
        Ok(())
    }

    /// One request; the body of its answer, which has to be a success.
    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        self.send(method, path, body)?;
        let (status, length) = self.head()?;
        let body = match length {
            Some(length) => self.exact(length)?,
            None => self.chunks()?,
        };
        if !status.contains(" 20") {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Begins a request whose answer does not end: its lines, one JSON document each.
    pub fn lines(mut self, path: &str) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
        self.send("GET", path, "")?;
        let (status, length) = self.head()?;
        if !status.contains(" 200") || length.is_some() {
            bail!("GET {path}: {status}, and no stream");
        }
        Ok(std::iter::from_fn(move || Some(self.chunk())))
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let head = format!(
            "{method} /v1.43{path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.stream.get_mut().write_all(head.as_bytes())?)
    }

    /// The status line, and the body's length unless it comes in chunks.
    fn head(&mut self) -> Result<(String, Option<usize>)> {
        let status = self.line()?;
        let (mut length, mut chunked) = (0usize, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        Ok((status, (!chunked).then_some(length)))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the engine closed the connection");
        }
        Ok(line.trim_end().to_string())
    }

    fn exact(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    /// The next chunk; the last one is empty.
    fn chunk(&mut self) -> Result<Vec<u8>> {
        let size = usize::from_str_radix(self.line()?.trim(), 16)?;
        let chunk = self.exact(size)?;
        self.line()?;
        Ok(chunk)
    }
}
