//! D-Bus messages, as far as they are needed: what is sent is written in this machine's byte order, and what comes
//! is read in the same (systemd runs here, too).

/// A body or header being written. Alignment counts from its start.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// Method call, reply, error and signal.
pub const CALL: u8 = 1;
pub const REPLY: u8 = 2;
pub const ERROR: u8 = 3;
pub const SIGNAL: u8 = 4;

/// The first byte of a message.
const ENDIAN: u8 = if cfg!(target_endian = "big") { b'B' } else { b'l' };

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// `u`.
    pub fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_ne_bytes());
    }

    /// `t`.
    pub fn long(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_ne_bytes());
    }

    /// `b`.
    pub fn boolean(&mut self, value: bool) {
        self.number(value.into());
    }

    /// `s` or `o`.
    pub fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// `g`.
    pub fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// `y`.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// An array of what aligns so.
    pub fn array(&mut self, element: usize, content: impl FnOnce(&mut Self)) {
        self.number(0);
        let place = self.0.len() - 4;
        self.align(element);
        let start = self.0.len();
        content(self);
        let length = (self.0.len() - start) as u32;
        self.0[place..place + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// `(sv)`: a property.
    pub fn property(&mut self, name: &str, signature: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        value(self);
    }

    /// A field of a header: `(yv)`.
    fn field(&mut self, code: u8, signature: &str, value: &str) {
        self.align(8);
        self.byte(code);
        self.signature(signature);
        if signature == "g" { self.signature(value) } else { self.string(value) }
    }
}

/// A call of a method of systemd's manager.
pub fn call(serial: u32, member: &str, signature: &str, body: Writer) -> Vec<u8> {
    let mut message = Writer(vec![ENDIAN, CALL, 0, 1]);
    message.number(body.0.len() as u32);
    message.number(serial);
    message.array(8, |fields| {
        fields.field(1, "o", "/org/freedesktop/systemd1");
        fields.field(2, "s", "org.freedesktop.systemd1.Manager");
        fields.field(3, "s", member);
        fields.field(6, "s", "org.freedesktop.systemd1");
        if !signature.is_empty() {
            fields.field(8, "g", signature);
        }
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// What came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// [`REPLY`] and so on.
    pub kind: u8,
    /// The call that it answers.
    pub answers: u32,
    /// The name of the signal, or of the error.
    pub name: String,
    /// Strings of the body, in order; numbers are left out.
    pub words: Vec<String>,
}

/// How long a message is whose first 16 bytes these are: `None`, if they are none.
pub fn length(head: &[u8; 16]) -> Option<usize> {
    let number = |at: usize| head[at..at + 4].try_into().ok().map(u32::from_ne_bytes);
    let (body, fields) = (number(4)? as usize, number(12)? as usize);
    let length = 16 + fields.next_multiple_of(8) + body;
    (head[0] == ENDIAN && head[3] == 1 && length <= 1 << 20).then_some(length)
}

/// Reads a whole message. `None`: it is not understood.
pub fn read(bytes: &[u8]) -> Option<Message> {
    let mut message = Message { kind: *bytes.get(1)?, ..Message::default() };
    let fields = u32::from_ne_bytes(bytes.get(12..16)?.try_into().ok()?) as usize;
    let mut reader = Reader { bytes, at: 16 };
    let mut signature = String::new();
    while reader.at < 16 + fields {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.signature()?.as_str()) {
            (8, "g") => signature = reader.signature()?,
            (3 | 4, "s") => message.name = reader.string()?,
            (_, "s" | "o") => drop(reader.string()?),
            (5, "u") => message.answers = reader.number()?,
            (_, "u") => drop(reader.number()?),
            (_, "g") => drop(reader.signature()?),
            _ => return None,
        }
    }
    // Alignment in the body counts from its own start, which is aligned.
    reader.align(8);
    for kind in signature.chars() {
        match kind {
            's' | 'o' => message.words.push(reader.string()?),
            'u' | 'i' | 'b' => drop(reader.number()?),
            // Of no message that is waited for.
            _ => break,
        }
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.bytes.get(self.at - 1).copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        self.at += 4;
        Some(u32::from_ne_bytes(self.bytes.get(self.at - 4..self.at)?.try_into().ok()?))
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length + 1;
        String::from_utf8(text.to_vec()).ok()
    }

    fn string(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?.into();
        self.text(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let mut body = Writer::default();
        body.string("a.scope");
        body.number(7);
        body.string("replace");
        let bytes = call(3, "StartTransientUnit", "sus", body);
        let head: [u8; 16] = bytes[..16].try_into().unwrap();
        assert_eq!(length(&head), Some(bytes.len()));
        let message = read(&bytes).unwrap();
        assert_eq!((message.kind, message.name.as_str()), (CALL, "StartTransientUnit"));
        assert_eq!(message.words, ["a.scope", "replace"]);
    }

    #[test]
    fn the_padding_before_an_array_is_not_counted() {
        let mut writer = Writer::default();
        writer.array(8, |list| list.long(5));
        assert_eq!(writer.0.len(), 16);
        assert_eq!(writer.0[..4], 8u32.to_ne_bytes());
        let mut empty = Writer::default();
        empty.array(8, |_| {});
        assert_eq!(empty.0, [0; 8]);
    }

    #[test]
    fn what_is_cut_short_is_not_understood() {
        let mut body = Writer::default();
        body.string("word");
        let bytes = call(1, "Member", "s", body);
        for end in 0..bytes.len() - 1 {
            assert!(read(&bytes[..end]).is_none_or(|message| message.words.is_empty()), "{end}");
        }
        let mut wild = bytes.clone();
        for at in 0..wild.len() {
            wild[at] = 0xff;
            _ = read(&wild);
            wild[at] = bytes[at];
        }
    }
}
