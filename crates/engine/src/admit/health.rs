//! Health checks: what may be asked, and what of the image's own stays.

use hull_image::Healthcheck;
use hull_types::{Fault, GoDuration};
use hull_wire as wire;

use super::text::{self, shown};
pub(super) use crate::container::health::ON_FAILURE;
use crate::container::health::OnFailure;

/// The shortest span of time that may be asked for.
const SHORTEST: GoDuration = GoDuration(1_000_000);

/// Checks what a request asks for. COMPAT(docker 28): its words, where it refuses.
pub(super) fn check(asked: Option<&wire::HealthConfig>) -> Result<(), Fault> {
    let Some(asked) = asked else { return Ok(()) };
    text::words_of("Healthcheck.Test", &asked.test)?;
    for (name, nanos) in [
        ("Interval", asked.interval),
        ("Timeout", asked.timeout),
        ("StartPeriod", asked.start_period),
        ("StartInterval", asked.start_interval),
    ] {
        if nanos != 0 && nanos < SHORTEST.nanos() {
            return Err(Fault::invalid(format!("{name} in Healthcheck cannot be less than {SHORTEST}")));
        }
    }
    if asked.retries < 0 {
        return Err(Fault::invalid("Retries in Healthcheck cannot be negative"));
    }
    match asked.test.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["NONE", ..] | ["CMD" | "CMD-SHELL", _, ..] => Ok(()),
        // docker takes what follows and checks nothing, or fails at the first check.
        ["CMD" | "CMD-SHELL"] => Err(Fault::invalid("Healthcheck.Test names no command")),
        [other, ..] => Err(Fault::invalid(format!("Healthcheck.Test begins with {}", shown(other)))
            .hint("it begins with `CMD`, `CMD-SHELL` or `NONE`")),
    }
}

/// What the request leaves open is as the image has it, field by field.
pub(super) fn merge(asked: &mut Option<wire::HealthConfig>, image: Option<&Healthcheck>) {
    let Some(image) = image else { return };
    let own = asked.get_or_insert_default();
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    for (own, image) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = image;
        }
    }
}

/// What is asked for and has nothing to work on.
pub(super) fn warnings(config: &wire::ContainerConfig, host: &wire::HostConfig) -> Result<Vec<String>, Fault> {
    let asked = config.healthcheck.as_ref();
    let kind = asked.and_then(|check| check.test.first()).map(String::as_str);
    let checks = matches!(kind, Some("CMD" | "CMD-SHELL"));
    match host.annotations.get(ON_FAILURE).map(|word| (word, OnFailure::parse(word))) {
        None | Some((_, Some(OnFailure::None))) => {}
        Some((word, None)) => {
            return Err(Fault::invalid(format!("invalid annotation `{ON_FAILURE}`: {}", shown(word)))
                .hint("it is `none`, `kill`, `restart` or `stop`"));
        }
        Some((word, Some(_))) if !checks => {
            return Err(Fault::invalid(format!("cannot set on-failure action to {word} without a health check")));
        }
        Some(_) => {}
    }
    Ok(match (kind, asked) {
        (Some("CMD" | "CMD-SHELL" | "NONE"), _) | (None, None) => Vec::new(),
        (None, Some(check)) if *check == wire::HealthConfig::default() => Vec::new(),
        (None, Some(_)) => vec!["No health check is run: neither the request nor the image has a test.".to_owned()],
        (Some(other), _) => {
            vec![format!("The image's HEALTHCHECK is not run: its test begins with {}.", shown(other))]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_docker_refuses_is_refused_in_its_words() {
        let config = wire::HealthConfig::default;
        for (asked, sentence) in [
            (wire::HealthConfig { interval: 999_999, ..config() }, "Interval in Healthcheck cannot be less than 1ms"),
            (wire::HealthConfig { timeout: -5, ..config() }, "Timeout in Healthcheck cannot be less than 1ms"),
            (wire::HealthConfig { start_period: 1, ..config() }, "StartPeriod in Healthcheck cannot be less than 1ms"),
            (
                wire::HealthConfig { start_interval: 1, ..config() },
                "StartInterval in Healthcheck cannot be less than 1ms",
            ),
            (wire::HealthConfig { retries: -1, ..config() }, "Retries in Healthcheck cannot be negative"),
            (wire::HealthConfig { test: words("CMD"), ..config() }, "Healthcheck.Test names no command"),
            (wire::HealthConfig { test: words("true"), ..config() }, "Healthcheck.Test begins with \"true\""),
        ] {
            assert_eq!(check(Some(&asked)).map_err(|fault| fault.summary), Err(sentence.to_owned()));
        }
        for test in ["", "NONE", "NONE x", "CMD true", "CMD-SHELL true"] {
            let asked = wire::HealthConfig { test: words(test), interval: 1_000_000, ..config() };
            assert_eq!(check(Some(&asked)), Ok(()), "{test}");
        }
    }

    #[test]
    fn the_image_fills_what_the_request_leaves_open() {
        let image = Healthcheck { test: words("CMD probe"), interval: 7, retries: 9, ..Healthcheck::default() };
        let mut none = None;
        merge(&mut none, Some(&image));
        assert_eq!(none.as_ref().map(|check| (check.test.clone(), check.interval)), Some((words("CMD probe"), 7)));
        let mut some = Some(wire::HealthConfig { interval: 5, ..wire::HealthConfig::default() });
        merge(&mut some, Some(&image));
        let got = some.unwrap();
        assert_eq!((got.test, got.interval, got.retries), (words("CMD probe"), 5, 9));
        let mut off = Some(wire::HealthConfig { test: words("NONE"), ..wire::HealthConfig::default() });
        merge(&mut off, Some(&image));
        assert_eq!(off.unwrap().test, words("NONE"));
    }

    #[test]
    fn a_follow_up_needs_a_check() {
        let config = |test: &str| wire::ContainerConfig {
            healthcheck: Some(wire::HealthConfig { test: words(test), ..wire::HealthConfig::default() }),
            ..wire::ContainerConfig::default()
        };
        let host = |word: &str| wire::HostConfig {
            annotations: [(ON_FAILURE.to_owned(), word.to_owned())].into(),
            ..wire::HostConfig::default()
        };
        assert_eq!(warnings(&config("CMD true"), &host("kill")), Ok(vec![]));
        assert_eq!(warnings(&config("NONE"), &host("none")), Ok(vec![]));
        assert!(warnings(&config("NONE"), &host("kill")).is_err());
        assert!(warnings(&config("CMD true"), &host("explode")).is_err());
        assert_eq!(warnings(&config("FOO x"), &wire::HostConfig::default()).unwrap().len(), 1);
    }
}
