//! Every flag of docker's verbs is one of hull's, or stands here with the reason why not. `docker_flags.txt` has what
//! `docker VERB --help` of 28.5 lists: short and long name, `=` where a value follows.

use hull_testkit::{Host, Settings};

const DOCKER: &str = include_str!("docker_flags.txt");

const SWARM: &str = "an engine stands alone: there is no swarm, and no cluster volumes";

/// The verb's last words (empty: all of them), the flag, and why hull has it not.
const WITHOUT: &[(&str, &str, &str)] = &[
    ("volume create", "--availability", SWARM),
    ("volume create", "--group", SWARM),
    ("volume create", "--limit-bytes", SWARM),
    ("volume create", "--required-bytes", SWARM),
    ("volume create", "--scope", SWARM),
    ("volume create", "--secret", SWARM),
    ("volume create", "--sharing", SWARM),
    ("volume create", "--topology-preferred", SWARM),
    ("volume create", "--topology-required", SWARM),
    ("volume create", "--type", SWARM),
    ("volume ls", "--cluster", SWARM),
    ("volume update", "", SWARM),
];

fn reason(verb: &str, flag: &str) -> Option<&'static str> {
    let fits = |known: &str| verb == known || verb.ends_with(&format!(" {known}"));
    WITHOUT.iter().find(|(known, name, _)| fits(known) && (name.is_empty() || *name == flag)).map(|(.., why)| *why)
}

#[test]
fn every_flag_of_docker_is_known_or_named_with_a_reason() {
    let host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let mut missing = Vec::new();
    let mut known = 0;
    for line in DOCKER.lines() {
        let (verb, flags) = line.split_once(':').expect("a verb");
        let words: Vec<&str> = verb.split(' ').collect();
        let mut asked = Vec::new();
        for flag in flags.split_whitespace() {
            let (names, takes) = flag.strip_suffix('=').map_or((flag, false), |names| (names, true));
            let long = names.rsplit(',').next().unwrap_or(names);
            if reason(verb, long).is_some() {
                continue;
            }
            for name in names.split(',').filter(|name| *name != "--help") {
                // The value of a short name follows it at once.
                let value = if takes { if name.starts_with("--") { "=1" } else { "1" } } else { "" };
                asked.push(format!("{name}{value}"));
            }
        }
        if reason(verb, "").is_some() {
            continue;
        }
        known += asked.len();
        // All at once is one process instead of hundreds; one by one says which.
        let accepts = |flags: &[String]| {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let out = host.hull(&[&words[..], &flags[..], &["--help"]].concat());
            (out.code == 0 && out.stdout.contains("Usage")).then_some(()).ok_or(out.stderr)
        };
        if accepts(&asked).is_err() {
            let each = asked.iter().filter_map(|flag| accepts(std::slice::from_ref(flag)).err().map(|why| (flag, why)));
            missing
                .extend(each.map(|(flag, why)| format!("{verb} {flag}: {}", why.lines().next().unwrap_or_default())));
        }
    }
    assert!(known > 500, "only {known} flags were tried");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn what_hull_has_meanwhile_is_in_no_list_of_excuses() {
    let host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    for (verb, flag, why) in WITHOUT.iter().filter(|(_, flag, _)| !flag.is_empty()) {
        let words: Vec<&str> = verb.split(' ').collect();
        let told = |value: &str| host.hull(&[&words[..], &[&format!("{flag}{value}"), "--help"]].concat()).code;
        assert!(told("=1") != 0 && told("") != 0, "{verb} {flag} is known now, but listed: {why}");
    }
}
