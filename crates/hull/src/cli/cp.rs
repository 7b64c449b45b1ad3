//! `hull cp`: files between a container and the host, named and renamed as docker's does it.

mod local;

use hull_client::Client;
use hull_types::Fault;
use hull_wire::PathStat;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::save::Target;
use local::{Naming, Source};

/// Go's `ModeDir`.
const DIRECTORY: u32 = 1 << 31;

/// Flags of `cp`.
#[derive(clap::Args, Debug)]
pub(crate) struct Cp {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy (there is none)
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "SOURCE", hide = true)]
    source: String,
    #[arg(value_name = "DESTINATION", hide = true)]
    destination: String,
}

impl Spoken for Cp {
    const NAME: &'static str = "cp";
    const ABOUT: &'static str = "Copy files/folders between a container and the local filesystem";
    const USAGE: &'static str =
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       hull cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH";

    fn run(self, context: &Context) -> Outcome {
        match (split(&self.source), split(&self.destination)) {
            (Some((container, path)), None) => self.out_of(&context.client()?, container, path),
            (None, Some((container, path))) => self.put_into(&context.client()?, container, path),
            (Some(_), Some(_)) => Err(usage("copying between containers is not supported")),
            (None, None) => Err(usage("must specify at least one container source")),
        }
    }
}

fn usage(why: &str) -> Failure {
    Failure::usage(Fault::invalid(why))
}

/// `container:path`. An absolute path and one that begins with a dot are the host's.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('/') {
        return None;
    }
    text.split_once(':').filter(|(container, _)| !container.is_empty() && !container.starts_with('.'))
}

impl Cp {
    fn out_of(&self, client: &Client, container: &str, path: &str) -> Outcome {
        let mut path = path.to_owned();
        if self.follow_link
            && let Some(stat) = client.archive_stat(container, &path).map_err(Fault::from)?
            && !stat.link_target.is_empty()
        {
            path = stat.link_target;
        }
        if self.destination == "-" {
            let to = Target::open(None)?;
            return to.take(client.archive_read(container, &path).map_err(Fault::from)?.1);
        }
        let (stat, archive) = client.archive_read(container, &path).map_err(Fault::from)?;
        let naming = local::destination(&self.destination, &stat.name, is_directory(&stat))?;
        local::unpack(archive, &stat.name, &naming, self.archive)?;
        Ok(0)
    }

    fn put_into(&self, client: &Client, container: &str, path: &str) -> Outcome {
        let path = if path.is_empty() { "/" } else { path };
        let stat = self.target(client, container, path)?;
        let there = stat.as_ref().map(|(_, stat)| is_directory(stat));
        let path = stat.map_or_else(|| path.to_owned(), |(path, _)| path);
        if self.source == "-" {
            if there != Some(true) {
                return Err(Fault::invalid(format!("destination \"{container}:{path}\" must be a directory")).into());
            }
            let mut from = std::io::stdin().lock();
            client.archive_write(container, &path, self.archive, &mut from).map_err(Fault::from)?;
            return Ok(0);
        }
        let source = Source::open(&self.source, self.follow_link)?;
        let naming = source.naming(&path, there)?;
        source.pack(&naming.name, |from| {
            Ok(client.archive_write(container, &naming.directory, self.archive, from).map_err(Fault::from)?)
        })?;
        Ok(0)
    }

    /// What is at the destination, behind a link if it is one.
    fn target(&self, client: &Client, container: &str, path: &str) -> Result<Option<(String, PathStat)>, Failure> {
        let look = |path: &str| client.archive_stat(container, path).map_err(Fault::from);
        Ok(match look(path)? {
            Some(stat) if !stat.link_target.is_empty() => {
                let target = stat.link_target;
                look(&target)?.map(|stat| (target, stat))
            }
            other => other.map(|stat| (path.to_owned(), stat)),
        })
    }
}

fn is_directory(stat: &PathStat) -> bool {
    stat.mode & DIRECTORY != 0
}

/// Directory and last component of a destination that is to be made or replaced.
fn above(path: &str) -> Naming {
    let path = path.trim_end_matches('/');
    let (directory, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => ("", path),
    };
    Naming { directory: directory.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_before_a_colon() {
        assert_eq!(split("web:/etc"), Some(("web", "/etc")));
        assert_eq!(split("web:"), Some(("web", "")));
        for host in ["/a:b", "./a:b", "../a:b", "a", "-", ":x"] {
            assert_eq!(split(host), None, "{host}");
        }
        assert_eq!(above("/a/b/"), Naming { directory: "/a".into(), name: "b".into() });
        assert_eq!(above("/a"), Naming { directory: "/".into(), name: "a".into() });
        assert_eq!(above("a"), Naming { directory: String::new(), name: "a".into() });
    }
}
