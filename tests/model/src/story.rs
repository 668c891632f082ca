//! A path told for people: one line a step, and how things stand at the end.

use std::fmt::Write as _;

use crate::broker::{Phase, Step};
use crate::configurations::Configuration;
use crate::mutants::Mutant;
use crate::properties::Promise;
use crate::protocol::{Action, Protocol};
use crate::server::{self, Doubt};
use crate::state::{Cell, RootState, State};

/// States, each with the step that leads from it to the next.
pub type Steps = Vec<(State, Option<Action>)>;

/// A counterexample as it is kept: what was broken, what came of it, step by step.
pub fn counterexample(
    mutant: Mutant,
    promise: Promise,
    protocol: &Protocol,
    steps: &[(State, Option<Action>)],
) -> String {
    format!(
        "Mutant {}: a broker {}.\n{}",
        mutant.name(),
        mutant.does(),
        path(promise, protocol, steps)
    )
}

/// How a promise was broken, step by step.
pub fn path(promise: Promise, protocol: &Protocol, steps: &[(State, Option<Action>)]) -> String {
    let mut text = String::new();
    let count = steps.len().saturating_sub(1);
    _ = writeln!(
        text,
        "Broken in {count} steps: {} ({}).",
        promise.name(),
        promise.meaning()
    );
    _ = writeln!(text, "Configuration: {}.\n", sizes(&protocol.configuration));
    for (number, pair) in steps.windows(2).enumerate() {
        let (before, after) = (&pair[0].0, &pair[1].0);
        if let Some(action) = pair[0].1 {
            _ = writeln!(text, "{:>3}  {}", number + 1, tell(protocol, before, action, after));
        }
    }
    if let Some((last, _)) = steps.last() {
        _ = write!(text, "\n{}", outcome(protocol, last));
    }
    text
}

/// A configuration's sizes and aspects in words.
pub fn sizes(configuration: &Configuration) -> String {
    let aspects = configuration.aspect_names();
    format!(
        "{} brokers, {}, {} each; {}",
        configuration.brokers,
        counted(configuration.epochs, "epoch", "epochs"),
        counted(configuration.slots, "batch", "batches"),
        if aspects.is_empty() {
            "no aspect beyond death and pause".to_owned()
        } else {
            aspects.join(", ")
        }
    )
}

fn counted(count: u8, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn letter(broker: u8) -> char {
    char::from(b'A' + broker)
}

/// One step in words.
pub fn tell(protocol: &Protocol, before: &State, action: Action, after: &State) -> String {
    use Action as A;
    match action {
        A::Survey { broker, .. }
        | A::LookForFormat { broker }
        | A::SyncNames { broker }
        | A::Link { broker }
        | A::SyncDirectory { broker }
        | A::WriteClaim { broker }
        | A::GoOn { broker }
        | A::StandDown { broker }
        | A::Fence { broker, .. }
        | A::ReadRoot { broker }
        | A::Load { broker }
        | A::ReadLog { broker }
        | A::NotFound { broker }
        | A::Judge { broker }
        | A::Harden { broker, .. }
        | A::Seal { broker }
        | A::ReadFenceToLead { broker }
        | A::ReadFenceToRefuse { broker } => {
            let told = tell_claimant(protocol, before, action, after, usize::from(broker));
            format!("{}: {told}", letter(broker))
        }
        A::Write { broker, .. }
        | A::ReadFence { broker, .. }
        | A::Announce { broker }
        | A::NameCheckpoint { broker }
        | A::UpdateRoot { broker }
        | A::ReadFenceToDelete { broker }
        | A::Unlink { broker }
        | A::RemoveClaim { broker, .. }
        | A::Beat { broker }
        | A::Follow { broker, .. }
        | A::Die { broker } => {
            format!(
                "{}: {}",
                letter(broker),
                tell_leader(protocol, before, action, after, usize::from(broker))
            )
        }
        A::LandWrite { epoch, slot } => format!("server: a late write of batch {slot} of epoch {epoch} takes effect"),
        A::LandRoot { epoch } => {
            let which = match before.epoch(epoch).root_late {
                Some((1, _)) => 'B',
                Some(_) | None => 'A',
            };
            format!("server: a late write of root {which} of epoch {epoch} takes effect")
        }
        A::LandFence { epoch } => format!("server: a late fence write into epoch {epoch} takes effect"),
        A::LandBeat { epoch } => format!("server: a late heartbeat of epoch {epoch} takes effect"),
        A::LandLink { epoch } if after.epoch(epoch).linked => {
            format!("server: a late link of claim {epoch} takes effect; its owner is dead")
        }
        A::LandLink { epoch } => format!("server: a late link of claim {epoch} comes to nothing"),
        A::LandUnlinks => "server: late unlinks take effect".to_owned(),
        A::CrashServer { lost, torn } => {
            let doubts = server::in_doubt(protocol, before);
            let named = doubts.iter().enumerate().filter(|(index, _)| lost & 1 << index != 0);
            let named: Vec<String> = named.map(|(_, doubt)| name_doubt(*doubt)).collect();
            let how = if torn {
                "; a root cell that it was writing is torn"
            } else {
                ""
            };
            format!(
                "server: crashes and loses what had not returned: {}{how}",
                named.join(", ")
            )
        }
        A::DamageRoot { epoch, cell } => {
            format!(
                "server: root {} of epoch {epoch} is damaged",
                if cell == 0 { 'A' } else { 'B' }
            )
        }
        A::DamageFence { epoch } => format!("server: the fence cell of epoch {epoch} is damaged"),
        A::DamageBeat { epoch } => format!("server: the heartbeat cell of epoch {epoch} is damaged"),
        A::DamageCheckpoint { checkpoint } => format!("server: checkpoint {checkpoint} is damaged"),
    }
}

/// Which root cell is written, where that makes a difference.
fn root_cell(protocol: &Protocol, cell: u8) -> &'static str {
    match (protocol.writes_roots_apart(), cell) {
        (false, _) => "both roots",
        (true, 0) => "root A",
        (true, _) => "root B",
    }
}

fn name_doubt(doubt: Doubt) -> String {
    match doubt {
        Doubt::Link { epoch } => format!("the name of claim {epoch}"),
        Doubt::Fence { epoch } => format!("FENCED in epoch {epoch}"),
        Doubt::Root { epoch } => format!("the last write of a root cell of epoch {epoch}"),
        Doubt::Slot { epoch, slot } => format!("batch {slot} of epoch {epoch}"),
        Doubt::Beat { epoch } => format!("the heartbeat of epoch {epoch}"),
    }
}

/// What became of the process: the end of a sentence.
fn end_of(phase: &Phase) -> &'static str {
    match phase {
        Phase::Standby => "; the process ends and starts anew as a standby",
        Phase::Refused => "; it refuses: damage",
        Phase::Claiming(_) | Phase::Leading(_) => "",
    }
}

fn tell_claimant(protocol: &Protocol, before: &State, action: Action, after: &State, index: usize) -> String {
    use Action as A;
    let phase = &after.brokers[index].phase;
    let (was, own) = match &before.brokers[index].phase {
        Phase::Claiming(claimant) => (*claimant, claimant.own),
        Phase::Standby | Phase::Leading(_) | Phase::Refused => Default::default(),
    };
    let is = match phase {
        Phase::Claiming(claimant) => *claimant,
        Phase::Standby | Phase::Leading(_) | Phase::Refused => was,
    };
    match action {
        A::Survey { seen, .. } if *phase == Phase::Refused => {
            format!("looks around, sees claims up to {seen}, and one missing; it refuses: damage")
        }
        A::Survey { seen: 0, .. } => "looks around, sees no claim, and decides to claim".to_owned(),
        A::Survey { seen, .. } => match is.from {
            0 => format!("looks around, sees claims up to {seen}, none sealed, and decides to claim"),
            from => format!("looks around, sees claims up to {seen}, {from} the newest sealed, and decides to claim"),
        },
        A::LookForFormat { .. } => match phase {
            Phase::Claiming(_) => "looks for FORMAT: not there".to_owned(),
            Phase::Refused => format!("looks for FORMAT: it exists{}", end_of(phase)),
            Phase::Standby | Phase::Leading(_) => "looks for FORMAT: it exists, so it looks around anew".to_owned(),
        },
        A::Link { .. } if is.own != own => format!("links its claim to {own}: EEXIST, and not its own nonce"),
        A::Link { .. } if before.epoch(own).linked => {
            format!("links its claim to {own}: EEXIST, which it takes for its own")
        }
        A::Link { .. } if is.step == Step::WriteClaim => format!("creates claim {own}, still without content"),
        A::Link { .. } => format!("links its claim: epoch {own}"),
        A::SyncNames { .. } => "makes the names that it saw durable".to_owned(),
        A::SyncDirectory { .. } => "syncs the directory".to_owned(),
        A::WriteClaim { .. } => format!("writes the content of claim {own}, its fence OPEN"),
        A::GoOn { .. } if is.step == Step::Suspect => "looks again, and misses a claim below its own".to_owned(),
        A::GoOn { .. } => "looks again, and goes on".to_owned(),
        A::StandDown { .. } => "looks again, and stands down; its claim stays, its engine too".to_owned(),
        A::Fence { epoch, .. } if !before.epoch(epoch).fenced => {
            let returned = is.unfenced & 1 << (epoch - 1) == 0;
            format!(
                "writes FENCED into epoch {epoch}{}",
                if returned { "" } else { "; no reply yet" }
            )
        }
        A::Fence { epoch, .. } => format!("its fence write into epoch {epoch} returns"),
        A::ReadRoot { .. } => tell_root_read(before, &was, &is, phase),
        A::Load { .. } => match is.step {
            Step::Suspect if was.at == 0 => "finds no sealed epoch, though FORMAT exists".to_owned(),
            Step::Suspect => "looks for what must be there, and does not find it".to_owned(),
            _ if was.at == 0 => "begins with an empty history".to_owned(),
            _ => format!(
                "loads what lies before the log of epoch {}; known so far: {}",
                was.at, is.found
            ),
        },
        A::ReadLog { .. } => match is.step {
            Step::Suspect => format!("misses batch {} of epoch {}, which is unlinked", was.next, was.at),
            _ => format!("reads the log of epoch {}; what counts so far: {}", was.at, is.found),
        },
        A::NotFound { .. } => format!(
            "is told that the segment of batch {} of epoch {} does not exist",
            was.next, was.at
        ),
        A::Judge { .. } => match is.step {
            Step::Suspect => format!(
                "finds that the log ({}) ends before what was shown to be confirmed",
                was.found
            ),
            _ => format!("takes this for what counts: {}", was.found),
        },
        A::Harden { slot, .. } => format!("hardens batch {slot} of epoch {}", was.at),
        A::Seal { .. } => {
            let leads = matches!(phase, Phase::Leading(_));
            let returned = leads || (is.step, is.cell) != (was.step, was.cell);
            let reply = if returned { "" } else { "; no reply yet" };
            let led = if leads {
                format!("; leads epoch {own}, with {}", was.found)
            } else {
                String::new()
            };
            format!(
                "seals epoch {own} in {}, naming {}{reply}{led}",
                root_cell(protocol, was.cell),
                was.root.sealed
            )
        }
        A::ReadFenceToLead { .. } => match phase {
            Phase::Leading(_) => format!("reads its own fence: OPEN; leads epoch {own}, with {}", was.found),
            Phase::Standby | Phase::Claiming(_) | Phase::Refused => {
                format!("reads its own fence: FENCED{}", end_of(phase))
            }
        },
        A::ReadFenceToRefuse { .. } => format!("decides about its suspicion{}", end_of(phase)),
        _ => format!("{action:?}"),
    }
}

fn tell_root_read(
    before: &State,
    was: &crate::broker::Claimant,
    is: &crate::broker::Claimant,
    phase: &Phase,
) -> String {
    let roots = before.epoch(was.at).roots;
    let name = |cell: Cell| match cell {
        Cell::Blank => "blank",
        Cell::Bad => "bad",
        Cell::Valid(_) => "valid",
    };
    if is.step == Step::ReadRootB {
        return format!("reads root A of epoch {}: {}", was.at, name(roots[0]));
    }
    let a = if was.step == Step::ReadRootB {
        was.cell_a
    } else {
        roots[0]
    };
    let read = match was.step {
        Step::ReadRootB => format!("reads root B of epoch {}: {}", was.at, name(roots[1])),
        _ => format!("reads both roots of epoch {}", was.at),
    };
    let verdict = match RootState::read(a, roots[1]) {
        RootState::NeverSealed => "never sealed".to_owned(),
        RootState::Sealed(root) => format!("sealed, naming {}", root.sealed),
        RootState::Damaged => "neither can be read".to_owned(),
    };
    format!("{read}: {verdict}{}", end_of(phase))
}

fn tell_leader(protocol: &Protocol, before: &State, action: Action, after: &State, index: usize) -> String {
    use Action as A;
    let phase = &after.brokers[index].phase;
    let was = match &before.brokers[index].phase {
        Phase::Leading(reign) => *reign,
        Phase::Standby | Phase::Claiming(_) | Phase::Refused => Default::default(),
    };
    let newly = after.confirmed() != before.confirmed();
    let confirmed = if newly {
        format!("; confirmed now: {}", after.confirmed())
    } else {
        String::new()
    };
    match action {
        A::Write { slot, .. } => {
            let effect = before.epoch(was.own).slots & 1 << slot == 0;
            let returned = matches!(phase, Phase::Leading(reign) if reign.returned & 1 << slot != 0);
            let what = match (effect, returned) {
                (true, true) => format!("writes batch {slot} of epoch {}", was.own),
                (true, false) => format!("writes batch {slot} of epoch {}; no reply yet", was.own),
                (false, _) => format!("its write of batch {slot} of epoch {} returns", was.own),
            };
            format!("{what}{confirmed}")
        }
        A::ReadFence { slot, .. } => match phase {
            Phase::Leading(_) => format!(
                "reads its own fence for batch {slot} of epoch {}: OPEN{confirmed}",
                was.own
            ),
            Phase::Standby | Phase::Claiming(_) | Phase::Refused => {
                format!("reads its own fence for batch {slot}: FENCED{}", end_of(phase))
            }
        },
        A::Announce { .. } => "begins to announce the next segment".to_owned(),
        A::NameCheckpoint { .. } => match phase {
            Phase::Leading(reign) => format!(
                "begins to name checkpoint {}",
                reign.update.map_or_else(String::new, |root| root.newer.to_string())
            ),
            Phase::Standby | Phase::Claiming(_) | Phase::Refused => String::new(),
        },
        A::UpdateRoot { .. } => {
            let cell = root_cell(protocol, was.cell);
            let returned =
                matches!(phase, Phase::Leading(reign) if (reign.cell, reign.update) != (was.cell, was.update));
            format!(
                "updates {cell} of epoch {}{}",
                was.own,
                if returned { "" } else { "; no reply yet" }
            )
        }
        A::ReadFenceToDelete { .. } => match phase {
            Phase::Leading(reign) => format!("decides to unlink what lies before checkpoint {}", reign.doomed),
            Phase::Standby | Phase::Claiming(_) | Phase::Refused => {
                format!("reads its own fence before unlinking: FENCED{}", end_of(phase))
            }
        },
        A::Unlink { .. } => format!("unlinks what lies before checkpoint {}", was.doomed),
        A::RemoveClaim { epoch, .. } => format!("removes claim {epoch}"),
        A::Beat { .. } => format!("beats: {} of epoch {} confirmed", after.epoch(was.own).beat, was.own),
        A::Follow { leader, .. } => match phase {
            Phase::Refused => format!("is told by {} what contradicts its engine: damage", letter(leader)),
            Phase::Standby | Phase::Claiming(_) | Phase::Leading(_) => {
                format!(
                    "applies what {} streams; its engine holds {}",
                    letter(leader),
                    after.brokers[index].engine
                )
            }
        },
        A::Die { .. } => match before.brokers[index].phase {
            Phase::Leading(reign) => format!("the leader of epoch {} dies", reign.own),
            Phase::Claiming(_) | Phase::Standby | Phase::Refused => "dies".to_owned(),
        },
        _ => format!("{action:?}"),
    }
}

fn outcome(protocol: &Protocol, state: &State) -> String {
    let mut text = String::from("So stands it:\n");
    for epoch in 1..=protocol.configuration.epochs {
        let files = state.epoch(epoch);
        if !files.linked {
            continue;
        }
        let root = match RootState::read(files.roots[0], files.roots[1]) {
            RootState::NeverSealed => "not sealed".to_owned(),
            RootState::Sealed(root) => format!("sealed, naming {}", root.sealed),
            RootState::Damaged => "roots damaged".to_owned(),
        };
        let log = crate::history::History::default().with(epoch, files.slots);
        let fence = if files.fenced { "FENCED" } else { "OPEN" };
        _ = writeln!(text, "  epoch {epoch}: {fence}; {root}; its log holds {log}");
    }
    _ = writeln!(text, "  confirmed to clients: {}", state.confirmed());
    if let Some(led) = state.led {
        _ = writeln!(
            text,
            "  the newest leader's: epoch {}, which recovered {}",
            led.epoch, led.recovered
        );
    }
    text
}
