//! Whether nothing was ever here: the only ground on which a history may begin from nothing.

use std::collections::BTreeSet;

use message::Epoch;

use crate::names;

/// What a directory without a sealed epoch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has led here: begin.
    FirstBoot,
    /// Somebody has led here, and the claim that says so is gone: refuse. The text names the evidence.
    ClaimsMissing(String),
}

impl Origin {
    /// Decides for a directory in which no claim is sealed.
    ///
    /// | row | FORMAT | a file of an epoch without a claim | says |
    /// |---|---|---|---|
    /// | O1 | absent | none | first boot |
    /// | O2 | absent | some | claims missing |
    /// | O3 | present | any | claims missing |
    pub fn decide<'a>(
        format_present: bool,
        claims: &BTreeSet<Epoch>,
        files: impl IntoIterator<Item = &'a str>,
    ) -> Origin {
        if format_present {
            return Origin::ClaimsMissing(
                "FORMAT says that a leader has served here, but no claim in epochs/ is sealed".into(),
            );
        }
        for name in files {
            match names::owner_of(name) {
                Some(epoch) if claims.contains(&epoch) => {}
                Some(_) | None => return Origin::ClaimsMissing(format!("{name} belongs to no claim in epochs/")),
            }
        }
        Origin::FirstBoot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_begins_only_where_nothing_points_to_an_older_one() {
        let claims = BTreeSet::from([Epoch(1)]);
        assert_eq!(Origin::decide(false, &claims, []), Origin::FirstBoot);
        assert_eq!(Origin::decide(false, &claims, ["00000001-00000001"]), Origin::FirstBoot);
        for (format, files) in [
            (true, vec![]),
            (true, vec!["00000001-00000001"]),
            (false, vec!["00000002-00000001"]),
            (false, vec!["core"]),
        ] {
            assert!(
                matches!(
                    Origin::decide(format, &claims, files.iter().copied()),
                    Origin::ClaimsMissing(_)
                ),
                "FORMAT {format}, files {files:?}"
            );
        }
    }
}
