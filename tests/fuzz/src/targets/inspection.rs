//! `holdfast journal verify` over a directory.
//!
//! It finds nothing wrong in a history as a leader leaves it, and something in each that a start refuses, as long as no checkpoint is named.

use std::cell::RefCell;
use std::rc::Rc;

use journal::inspect::{Inspection, Row, Totals, inspect};
use journal::{RecoveryError, SegmentOwner};
use message::Epoch;

use super::{NONCE, recovery};
use crate::directory::{self, History, NEXT_NONCE, finish};
use crate::input::Input;

/// The steps that build the directory.
pub fn run(input: &[u8]) {
    let history = directory::build(&mut Input::new(input));
    let (totals, damages) = inspected(&history);
    assert_eq!(totals.damages, damages.len() as u64);
    if history.is_clean {
        assert_eq!(damages, [""; 0], "a history as a leader leaves it is called damaged");
    }
    // Whether the place in a checkpoint where replay starts fits the log is not looked at.
    if damages.is_empty()
        && history.plan.checkpoints == [None, None]
        && let Err(RecoveryError::Damaged(damage)) = recovery::recovered(&history.disk, history.plan.clone())
    {
        panic!("a start refuses, and nothing is found wrong: {damage}");
    }
}

fn inspected(history: &History) -> (Totals, Vec<String>) {
    let sealed = !history.plan.sealed.is_empty();
    let mut inspection = Inspection {
        claims: [(directory::EPOCH, NONCE)].into(),
        announced: [(directory::EPOCH, history.owner)].into(),
        sealed: history.plan.sealed.clone(),
        named: history.plan.checkpoints,
        confirmed: None,
        with_records: true,
    };
    if let Some(log) = history.plan.predecessor {
        inspection.confirmed = log.confirmed.map(|position| (log.epoch, position));
        if sealed {
            inspection.claims.insert(log.epoch, NEXT_NONCE);
            let announced = SegmentOwner {
                epoch: Epoch(2),
                nonce: NEXT_NONCE,
                first: log.first_segment,
                last: log.highest_segment,
            };
            inspection.announced.insert(log.epoch, announced);
        }
    }
    let rows = Rc::new(RefCell::new(Vec::new()));
    let taken = rows.clone();
    let files = history.disk.files();
    let reading = files.clone();
    let totals = finish(&files, async move {
        let mut take = |row: Row| {
            if let Row::Damage(damage) = row {
                taken.borrow_mut().push(damage.to_string());
            }
        };
        inspect(reading, &inspection, &mut take).await
    });
    let damages = rows.take();
    (totals.expect("this disk does not fail"), damages)
}

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    directory::seeds()
}
