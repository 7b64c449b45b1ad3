//! The frames of attach, exec and logs without a terminal: `[stream, 0, 0, 0, length as big-endian u32]`, payload.
//! Media type `application/vnd.docker.multiplexed-stream`.

/// The length of a frame's header.
pub const FRAME_HEADER: usize = 8;

/// Which standard stream a piece of output belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum StdStream {
    /// Input; also what a terminal prints.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StdStream {
    /// The number in the frame's header.
    pub fn code(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// The header of a frame of `length` bytes.
pub fn frame_header(stream: StdStream, length: u32) -> [u8; FRAME_HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream.code(), 0, 0, 0, a, b, c, d]
}

/// The stream and the payload's length; `None` if the stream is unknown (docker's 3 means an error text).
pub fn parse_frame_header(header: [u8; FRAME_HEADER]) -> Option<(StdStream, u32)> {
    let [code, _, _, _, a, b, c, d] = header;
    let stream = match code {
        0 => StdStream::Stdin,
        1 => StdStream::Stdout,
        2 => StdStream::Stderr,
        _ => return None,
    };
    Some((stream, u32::from_be_bytes([a, b, c, d])))
}
