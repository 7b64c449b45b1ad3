//! [`Listener`]: a unix socket that receives descriptors: a console or a seccomp listener.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::Site;

/// What one client sent.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub text: String,
    /// The descriptors, in order.
    pub fds: Vec<OwnedFd>,
}

/// A socket whose first client is served by a thread.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    thread: JoinHandle<Received>,
}

impl Site {
    /// Listens on a socket of this name.
    pub fn listen(&self, name: &str) -> Listener {
        let path = self.path().join(name);
        let listener = UnixListener::bind(&path).expect("bind");
        let thread = std::thread::spawn(move || {
            let (client, _) = listener.accept().expect("accept");
            let mut bytes = vec![0; 64 * 1024];
            let got = hull_sys::fdpass::recv(&client, &mut bytes).expect("recvmsg");
            bytes.truncate(got.bytes);
            Received { text: String::from_utf8_lossy(&bytes).into_owned(), fds: got.fds }
        });
        Listener { path, thread }
    }
}

impl Listener {
    /// Where it listens.
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// What the first client sent; waits for it.
    #[track_caller]
    pub fn received(self) -> Received {
        hull_testkit::eventually("a client sends a descriptor", || self.thread.is_finished());
        self.thread.join().expect("the receiver")
    }
}
