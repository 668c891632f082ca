//! Runs of the checker: the sound protocol in a configuration, and a mutant until it is caught.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::configurations::Configuration;
use crate::mutants::Mutant;
use crate::properties::{EVERY_EPOCH_SERVES, Promise};
use crate::protocol::Protocol;
use crate::story::{self, Steps};

/// A mutant that survives so many transitions is not caught.
const STORY_TRANSITIONS_MAX: usize = 60_000_000;

/// What an exploration of the sound protocol came to.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Where.
    pub configuration: Configuration,
    /// Different states.
    pub states: usize,
    /// Steps from a state to another, or to one that was known.
    pub transitions: usize,
    /// Steps on the longest of the shortest paths to a state.
    pub depth: usize,
    /// Every state was seen. Otherwise a limit ended the exploration, or a broken promise.
    pub is_exhausted: bool,
    /// A path was found on which every epoch confirms something.
    pub every_epoch_serves: bool,
    /// A promise that was broken, with its story.
    pub broken: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Exploration {
    /// Nothing broke, and all that must be reachable was reached.
    pub fn is_good(&self) -> bool {
        self.broken.is_none() && self.every_epoch_serves
    }
}

/// Explores a sound protocol with so many threads, and so many transitions at most.
pub fn explore(protocol: &Protocol, threads: usize, transitions_max: usize) -> Exploration {
    let begun = Instant::now();
    let checker = protocol.clone().checker().threads(threads);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(transitions_max).spawn_bfs().join();
    let elapsed = begun.elapsed();
    let broken = Promise::ALL.into_iter().find_map(|promise| {
        let found = checker.discovery(promise.name())?;
        // With several threads and without names it is neither the shortest nor easy to follow.
        let plain = Protocol {
            promises: vec![promise],
            is_reduced: false,
            ..protocol.clone()
        };
        let (protocol, path) = match shortest(&plain, promise) {
            Some((_, path)) => (&plain, path),
            None => (protocol, found.into_vec()),
        };
        Some(story::path(promise, protocol, &path))
    });
    Exploration {
        configuration: protocol.configuration,
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth() - 1,
        is_exhausted: broken.is_none() && checker.state_count() < transitions_max,
        every_epoch_serves: checker.discovery(EVERY_EPOCH_SERVES).is_some(),
        broken,
        elapsed,
    }
}

/// A mutant that was caught.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Which.
    pub mutant: Mutant,
    /// What it broke.
    pub promise: Promise,
    /// Where.
    pub configuration: Configuration,
    /// The length of the counterexample.
    pub steps: usize,
    /// Different states seen until then.
    pub states: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// The counterexample as it is kept.
    pub story: String,
}

/// The shortest path to a broken promise, and the number of states seen until then; one thread, so that it is the same one each time.
fn shortest(protocol: &Protocol, promise: Promise) -> Option<(usize, Steps)> {
    let checker = protocol.clone().checker().threads(1);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(STORY_TRANSITIONS_MAX).spawn_bfs().join();
    let path = checker.discovery(promise.name())?;
    Some((checker.unique_state_count(), path.into_vec()))
}

/// Looks for the shortest counterexample; one thread, so that it is the same one each time. `None`: the mutant survives.
pub fn catch(mutant: Mutant) -> Option<Catch> {
    let protocol = Protocol::broken(mutant);
    let (configuration, promise) = mutant.trial();
    let begun = Instant::now();
    let (states, path) = shortest(&protocol, promise)?;
    Some(Catch {
        mutant,
        promise,
        configuration,
        steps: path.len() - 1,
        states,
        elapsed: begun.elapsed(),
        story: story::counterexample(mutant, promise, &protocol, &path),
    })
}
