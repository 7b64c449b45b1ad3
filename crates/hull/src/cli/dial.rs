//! `hull system dial-stdio`: a client elsewhere speaks to the engine over this process's standard streams, as through ssh.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use hull_types::{Fault, Kind};

use super::context::Context;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `system dial-stdio`.
#[derive(clap::Args, Debug)]
pub(crate) struct Dial {}

impl Spoken for Dial {
    const NAME: &'static str = "dial-stdio";
    const ABOUT: &'static str = "Proxy the stdio stream to the engine's connection";
    const USAGE: &'static str = "";

    fn run(self, context: &Context) -> Outcome {
        // One that is not there is started first.
        let client = context.client()?;
        let lost = |error: io::Error| Fault::new(Kind::Unavailable, "the connection to the engine broke").cause(error);
        let socket = client.dial().map_err(Fault::from)?;
        let to = socket.try_clone().map_err(lost)?;
        // Not waited for: when the engine has ended the connection, nobody needs what is still typed.
        std::thread::spawn(move || {
            if pass(io::stdin().lock(), &to).is_ok() {
                let _ = to.shutdown(Shutdown::Write);
            }
        });
        pass(&socket, io::stdout().lock()).map_err(lost)?;
        Ok(0)
    }
}

/// Each piece at once: somebody waits for it.
fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&piece[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
