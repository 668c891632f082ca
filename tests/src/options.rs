//! Values of options that the programs of this package share. The options themselves stand in each program, as clap reads them.

use std::time::Duration;

use mutant::Mutant;

/// A number, in which `_` may part the digits.
///
/// # Errors
/// What is wrong with it.
pub fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "it is no number".to_owned())
}

/// A number of things, at least one.
///
/// # Errors
/// What is wrong with it.
pub fn count(text: &str) -> Result<usize, String> {
    match number(text)? {
        0 => Err("it must be above 0".to_owned()),
        number => usize::try_from(number).map_err(|_| "it is too large".to_owned()),
    }
}

/// Hours, with decimals.
///
/// # Errors
/// What is wrong with it.
pub fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text.parse().map_err(|_| "it is no number of hours".to_owned())?;
    Duration::try_from_secs_f64(hours * 3600.0).map_err(|error| error.to_string())
}

/// A deliberate fault, by its name.
///
/// # Errors
/// There is none of that name.
pub fn mutant_named(name: &str) -> Result<Mutant, String> {
    let known = Mutant::ALL.iter().find(|mutant| mutant.name() == name);
    known.copied().ok_or_else(|| "there is no such mutant".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_may_be_parted_and_nothing_else_is_a_number() {
        assert_eq!(number("20_000"), Ok(20_000));
        assert_eq!(number("0"), Ok(0));
        for wrong in ["", "_", "-1", "1.5", "1k"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn none_is_no_count() {
        assert_eq!(count("3"), Ok(3));
        assert!(count("0").is_err());
    }

    #[test]
    fn hours_have_decimals_and_are_never_negative() {
        assert_eq!(hours("1.5"), Ok(Duration::from_secs(5400)));
        for wrong in ["-1", "NaN", "inf", "1e300", "long"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for mutant in Mutant::ALL {
            assert_eq!(mutant_named(mutant.name()).map(|found| found.name()), Ok(mutant.name()));
        }
        assert!(mutant_named("none").is_err());
    }
}
