//! Which aspects meet, and how much of everything there is.
//!
//! A configuration is named by what it is about. The first ones are as large as the design asks for; the last ones let as much meet as can be had, over fewer epochs.

use crate::aspects::{Aspect, Aspects};
use crate::history::{EPOCHS_MAX, SLOTS_MAX};
use crate::state::BROKERS_MAX;

/// What can happen, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// As the table calls it.
    pub name: &'static str,
    /// Brokers.
    pub brokers: u8,
    /// Epochs: a claim of a higher number is not made.
    pub epochs: u8,
    /// Batches that an epoch may write.
    pub slots: u8,
    /// What can happen.
    pub aspects: Aspects,
}

impl Configuration {
    /// A configuration; three brokers are an aspect of their own.
    pub fn new(name: &'static str, brokers: u8, epochs: u8, slots: u8, aspects: &[Aspect]) -> Configuration {
        let aspects = Aspects::of(aspects);
        Configuration {
            name,
            brokers,
            epochs,
            slots,
            aspects: if brokers == 3 {
                aspects.and(Aspect::Three)
            } else {
                aspects
            },
        }
    }

    /// The one that a text describes: numbers of brokers (2 or 3), epochs (1 to 4) and batches (1 to 4), then aspects.
    pub fn named(name: &'static str, text: &str) -> Option<Configuration> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [brokers, epochs, slots, aspects @ ..] = words.as_slice() else {
            return None;
        };
        let number = |word: &str, within: std::ops::RangeInclusive<u8>| {
            word.parse().ok().filter(|number| within.contains(number))
        };
        let aspects: Option<Vec<Aspect>> = aspects.iter().map(|word| Aspect::named(word)).collect();
        Some(Configuration::new(
            name,
            number(brokers, 2..=BROKERS_MAX as u8)?,
            number(epochs, 1..=EPOCHS_MAX as u8)?,
            number(slots, 1..=SLOTS_MAX)?,
            &aspects?,
        ))
    }

    /// The names of its aspects, in the order of the table.
    pub fn aspect_names(&self) -> Vec<&'static str> {
        let here = Aspect::ALL.iter().filter(|aspect| self.aspects.has(**aspect));
        here.map(|aspect| aspect.name()).collect()
    }

    /// Whether the aspect can make a difference here: the order of writes, and segments of one batch, need two batches.
    pub fn meets(&self, aspect: Aspect) -> bool {
        let needs_two = matches!(aspect, Aspect::Overlap | Aspect::Roll);
        self.aspects.has(aspect) && (self.slots >= 2 || !needs_two)
    }

    fn of_size(self, epochs: u8, slots: u8) -> Configuration {
        Configuration { epochs, slots, ..self }
    }
}

/// What `--long` explores: 2 brokers over 4 epochs, 3 over 3; and as much at once as can be had, over fewer.
pub fn full() -> Vec<Configuration> {
    use Aspect::{Checkpoints, Crash, Damage, Heartbeat, Late, Overlap, Roll, Stale, Standby, TwoRoots};
    vec![
        Configuration::new("core", 2, 4, 3, &[Late, Overlap, Heartbeat]),
        Configuration::new("crash", 2, 4, 1, &[Late, Crash, Damage, TwoRoots, Heartbeat]),
        Configuration::new("segments", 2, 4, 2, &[Late, Crash, TwoRoots, Roll, Overlap]),
        Configuration::new("deletion", 2, 4, 1, &[Late, Damage, TwoRoots, Checkpoints]),
        Configuration::new("standby", 2, 4, 2, &[Late, Crash, Stale, Standby, Heartbeat]),
        Configuration::new(
            "three-race",
            3,
            3,
            2,
            &[Late, Crash, Overlap, Stale, Standby, Heartbeat],
        ),
        Configuration::new("three-roots", 3, 3, 1, &[Late, Damage, TwoRoots, Checkpoints]),
        Configuration::new("three-segments", 3, 2, 2, &[Late, Crash, TwoRoots, Roll, Overlap]),
        Configuration::new(
            "seven-of-two",
            2,
            3,
            1,
            &[Late, Crash, Damage, TwoRoots, Checkpoints, Heartbeat, Standby],
        ),
        Configuration::new(
            "eight-of-three",
            3,
            2,
            1,
            &[Late, Crash, Damage, TwoRoots, Checkpoints, Heartbeat, Stale, Standby],
        ),
        Configuration::new(
            "nine-of-two",
            2,
            2,
            2,
            &[
                Late,
                Damage,
                TwoRoots,
                Overlap,
                Roll,
                Checkpoints,
                Heartbeat,
                Stale,
                Standby,
            ],
        ),
    ]
}

/// What every change explores: the same aspects, over fewer epochs and batches where that would take long.
pub fn small() -> Vec<Configuration> {
    full()
        .into_iter()
        .map(|configuration| match configuration.name {
            "crash" | "segments" | "deletion" | "three-race" => configuration.of_size(3, 1),
            "core" => configuration.of_size(4, 2),
            "standby" => configuration.of_size(4, 1),
            "three-roots" | "seven-of-two" => configuration.of_size(2, 1),
            "three-segments" | "nine-of-two" => configuration.of_size(1, 2),
            "eight-of-three" => configuration.of_size(1, 1),
            _ => configuration,
        })
        .collect()
}

/// Sets of `count` aspects that do not meet in any of these configurations.
pub fn never_met(configurations: &[Configuration], count: usize) -> Vec<Vec<Aspect>> {
    let sets = (0u16..1 << Aspect::WORLD.len()).filter(|bits| bits.count_ones() as usize == count);
    sets.map(|bits| {
        let members = Aspect::WORLD.iter().enumerate();
        let members = members.filter(|(index, _)| bits & 1 << index != 0);
        members.map(|(_, aspect)| *aspect).collect::<Vec<_>>()
    })
    .filter(|set| {
        let meets = |here: &Configuration| set.iter().all(|aspect| here.meets(*aspect));
        !configurations.iter().any(meets)
    })
    .collect()
}
