//! The story of a start: what was done when, by the engine's clock, the keeper's and the child's, which are one
//! (`CLOCK_REALTIME`).
//!
//! Every start is timed: a look at the clock is no system call. The stories of the latest starts are kept in memory, also
//! of containers that are gone, and of starts that failed: those end with the step that did.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hull_launch::compile::{clone_words, part, words};
use hull_launch::keeper::Times;
use hull_launch::plan::LaunchPlan;
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::View;
use crate::core::Core;
use crate::error::Error;

/// Starts whose stories are kept.
const KEPT: usize = 256;

/// Who does something.
const ENGINE: &str = "engine";
const KEEPER: &str = "keeper";
const CHILD: &str = "child";

/// What the engine does itself: each lap ends where the next begins.
#[derive(Debug, Default)]
pub struct Laps(Vec<(&'static str, Timestamp)>);

impl Laps {
    /// From now on this is done.
    pub fn next(&mut self, what: &'static str) {
        self.0.push((what, Timestamp::now()));
    }
}

/// A start under way, as far as it has come.
#[derive(Default)]
pub(crate) struct Attempt {
    pub laps: Laps,
    /// What keeper and child did, and what follows.
    launch: Vec<Step>,
}

impl Attempt {
    /// The command runs; what is left is the engine's.
    pub fn launched(&mut self, plan: &LaunchPlan, times: &Times) {
        self.launch = launched(plan, times);
        let heard = times.begun.saturating_add(times.heard);
        self.launch.push(Step {
            at: heard,
            by: ENGINE,
            part: "process",
            what: "hear of it, and follow its output".into(),
        });
    }

    /// The last step that has a time failed: the child's, or if it has none, the clone.
    pub fn stopped(&mut self, plan: &LaunchPlan, mut times: Times) {
        if times.begun == 0 {
            times.begun = Timestamp::now().nanos();
        }
        self.launch = launched(plan, &times);
        self.launch.truncate(times.child.len() + 1);
    }
}

/// One step: when it began, in nanoseconds since the epoch.
struct Step {
    at: i64,
    by: &'static str,
    part: &'static str,
    what: Cow<'static, str>,
}

/// One start.
struct Story {
    id: String,
    name: String,
    image: String,
    steps: Vec<Step>,
    end: i64,
    /// Why the last step failed; empty if it did not.
    error: String,
}

/// The latest starts, the newest last.
#[derive(Default)]
pub(crate) struct Stories(Mutex<VecDeque<Arc<Story>>>);

impl Stories {
    /// Keeps what a start was, now that it has ended so.
    pub fn keep(&self, view: &View, attempt: Attempt, failed: Option<&Fault>) {
        let definition = &view.definition;
        let mut steps = laps(&attempt.laps);
        steps.extend(attempt.launch);
        let story = Story {
            id: definition.id.to_string(),
            name: view.name().to_string(),
            image: definition.config.image.clone(),
            steps,
            end: Timestamp::now().nanos(),
            error: failed.map(ToString::to_string).unwrap_or_default(),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(Arc::new(story));
    }

    fn find(&self, wanted: impl Fn(&Story) -> bool) -> Option<Arc<Story>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|story| wanted(story)).map(Arc::clone)
    }
}

/// `GET /hull/containers/{id}/start`.
pub(crate) fn story(core: &Core, who: &str) -> Result<wire::StartStory, Fault> {
    let name = who.strip_prefix('/').unwrap_or(who);
    let found = match core.resolve(who) {
        Ok(container) => core.stories.find(|story| story.id == container.id.as_str()).ok_or_else(|| {
            Fault::not_found(format!("the latest start of {} was not seen by this engine, or long ago", name))
                .hint("the stories of the latest starts are kept in memory: start it anew and ask again")
        })?,
        Err(Error::NoSuchContainer(missing)) => {
            let named = core.stories.find(|story| story.name == name);
            named.or_else(|| core.stories.find(|story| who.len() >= 4 && story.id.starts_with(who))).ok_or_else(
                || {
                    Fault::from(Error::NoSuchContainer(missing))
                        .hint("the stories of the latest starts are kept in memory, until the engine ends")
                },
            )?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(told(&found))
}

fn laps(of: &Laps) -> Vec<Step> {
    let step = |(what, at): &(&'static str, Timestamp)| Step {
        at: at.nanos(),
        by: ENGINE,
        part: "prepare",
        what: (*what).into(),
    };
    of.0.iter().map(step).collect()
}

/// The keeper's part and the child's. A step that the child could not time begins when the one before it does.
fn launched(plan: &LaunchPlan, times: &Times) -> Vec<Step> {
    let moment = |at: i64| times.begun.saturating_add(at);
    let mut steps = vec![Step { at: times.begun, by: KEEPER, part: "namespaces", what: clone_words(plan).into() }];
    let begun = "close what is not its own, take its first signal mask".into();
    let own = std::iter::once(("process", begun)).chain(plan.steps.iter().map(|step| (part(step), words(step))));
    let exec = ("process", "execve: the kernel puts the command in the child's place".into());
    let mut last = 0;
    for ((part, what), at) in own.chain([exec]).zip(&times.child) {
        let timed = *at != Times::UNKNOWN;
        last = if timed { *at } else { last };
        let what = if timed { what } else { format!("{what} (not timed: the filter forbids to ask)").into() };
        steps.push(Step { at: moment(last), by: CHILD, part, what });
    }
    let untold = (plan.steps.len() + 2).saturating_sub(times.child.len());
    if untold > 0 {
        let what = format!("{untold} more steps").into();
        steps.push(Step { at: moment(last), by: CHILD, part: "process", what });
    }
    steps
}

fn told(story: &Story) -> wire::StartStory {
    let begun = story.steps.first().map_or(story.end, |step| step.at);
    let ends = story.steps.iter().skip(1).map(|step| step.at).chain([story.end]);
    let step = |(step, end): (&Step, i64)| wire::StartStep {
        at: step.at.saturating_sub(begun).max(0),
        took: end.saturating_sub(step.at).max(0),
        by: step.by.to_owned(),
        part: step.part.to_owned(),
        what: step.what.clone().into_owned(),
        failed: false,
    };
    let mut steps: Vec<_> = story.steps.iter().zip(ends).map(step).collect();
    if let Some(last) = steps.last_mut() {
        last.failed = !story.error.is_empty();
    }
    wire::StartStory {
        id: story.id.clone(),
        name: story.name.clone(),
        image: story.image.clone(),
        began: Timestamp::from_nanos(begun),
        took: story.end.saturating_sub(begun).max(0),
        error: story.error.clone(),
        steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_launch::plan::{Exec, Step as Planned};

    fn plan(steps: Vec<Planned>) -> LaunchPlan {
        let exec = Exec { candidates: Vec::new(), argv: Vec::new(), env: Vec::new() };
        LaunchPlan { key: "k".into(), clone: Default::default(), steps, exec }
    }

    #[test]
    fn a_step_that_could_not_be_timed_says_so() {
        let plan = plan(vec![Planned::Session, Planned::NoNewPrivileges]);
        let times = Times { begun: 1_000, child: vec![10, 20, Times::UNKNOWN, Times::UNKNOWN], heard: 90 };
        let steps = launched(&plan, &times);
        let seen: Vec<(i64, bool)> = steps.iter().map(|step| (step.at, step.what.contains("not timed"))).collect();
        assert_eq!(seen, [(1_000, false), (1_010, false), (1_020, false), (1_020, true), (1_020, true)]);
    }

    #[test]
    fn steps_without_room_for_their_times_are_counted() {
        let plan = plan(vec![Planned::Session, Planned::NoNewPrivileges, Planned::PivotRoot]);
        let steps = launched(&plan, &Times { begun: 0, child: vec![1, 2], heard: 9 });
        assert_eq!(steps.last().unwrap().what, "3 more steps");
    }

    #[test]
    fn a_launch_that_stopped_ends_with_what_failed() {
        let plan = plan(vec![Planned::Session, Planned::NoNewPrivileges, Planned::PivotRoot]);
        let stopped = |child: Vec<i64>| {
            let mut attempt = Attempt::default();
            attempt.stopped(&plan, Times { begun: 7, child, heard: 9 });
            attempt.launch.into_iter().map(|step| step.what.into_owned()).collect::<Vec<_>>()
        };
        let (all, second, clone) = (stopped(vec![1, 2, 3, 4, 5]), stopped(vec![1, 2, 3]), stopped(Vec::new()));
        assert!(all[5].starts_with("execve"), "{all:?}");
        assert_eq!(second, all[..4]);
        assert_eq!(clone, all[..1]);
    }
}
