//! Names for containers that were given none: an adjective and a noun from hull's own word list.

use hull_types::{ContainerId, Name};

const ADJECTIVES: [&str; 48] = [
    "able", "airy", "amber", "apt", "azure", "bold", "brave", "brisk", "bright", "calm", "clear", "clever", "cosy",
    "crisp", "deft", "eager", "early", "fair", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand", "hardy",
    "honest", "jolly", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "nimble", "noble", "proud",
    "quick", "quiet", "rapid", "ready", "sharp", "silver", "steady", "sunny", "swift",
];

const NOUNS: [&str; 48] = [
    "anchor", "barge", "barque", "beacon", "boom", "bosun", "bow", "brig", "buoy", "cabin", "canoe", "capstan",
    "clipper", "compass", "cutter", "deck", "dinghy", "dory", "ferry", "frigate", "gig", "galley", "harbour", "helm",
    "hull", "jetty", "keel", "ketch", "lagoon", "lantern", "mast", "mate", "oar", "pilot", "porthole", "prow", "quay",
    "rudder", "sail", "schooner", "sextant", "skiff", "sloop", "spar", "stern", "tide", "tug", "yawl",
];

/// A name; the later the attempt, the longer.
pub(crate) fn random(attempt: u32) -> Name {
    let random = ContainerId::new_random();
    let hex = random.as_str();
    let pick = |at: usize, words: &[&'static str]| {
        let number = usize::from_str_radix(&hex[at..at + 8], 16).unwrap_or(0);
        words[number % words.len()]
    };
    let name = format!("{}_{}", pick(0, &ADJECTIVES), pick(8, &NOUNS));
    let name = if attempt == 0 { name } else { format!("{name}_{}", &hex[20..24]) };
    name.parse().expect("words of letters make a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_makes_a_name() {
        for word in ADJECTIVES.iter().chain(&NOUNS) {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
        }
        assert!(random(0).as_str().contains('_'));
        assert_eq!(random(1).as_str().matches('_').count(), 2);
    }
}
