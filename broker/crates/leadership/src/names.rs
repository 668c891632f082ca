//! The names of files in the data directory.
//!
//! Files are found by name and number. Deliberately absent: any name that is renamed, or that two epochs could both write.

use message::Epoch;
use record::Nonce;

/// Holds the claims.
pub const EPOCHS: &str = "epochs";
/// Holds the segments.
pub const JOURNAL: &str = "journal";
/// Holds the checkpoints and their pieces.
pub const CHECKPOINTS: &str = "checkpoints";
/// Says that this directory has had a leader.
pub const FORMAT: &str = "FORMAT";
/// Space set aside, so that a full disk can still be led.
pub const BALLAST: &str = "ballast";

/// The claim of an epoch: `epochs/00000007`.
pub fn claim(epoch: Epoch) -> String {
    format!("{EPOCHS}/{epoch:08}", epoch = epoch.0)
}

/// The name under which a claim is written before it is linked.
pub fn temporary_claim(nonce: Nonce) -> String {
    let mut name = format!("{EPOCHS}/claim-");
    for byte in nonce.0 {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

/// Whose claim a name in `epochs/` is; `None` for a temporary one.
pub fn epoch_of(name: &str) -> Option<Epoch> {
    if name.len() < 8 || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse().ok().map(Epoch)
}

/// Which epoch a file in `journal/` or `checkpoints/` belongs to: the digits before the first `-`.
pub fn owner_of(name: &str) -> Option<Epoch> {
    name.split_once('-').and_then(|(epoch, _)| epoch_of(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_again_by_its_name_and_a_temporary_one_is_not_a_claim() {
        assert_eq!(claim(Epoch(7)), "epochs/00000007");
        assert_eq!(epoch_of("00000007"), Some(Epoch(7)));
        assert_eq!(epoch_of("123456789"), Some(Epoch(123_456_789)));
        let temporary = temporary_claim(Nonce([0xab; 16]));
        assert_eq!(epoch_of(temporary.trim_start_matches("epochs/")), None);
        assert_eq!(owner_of("00000007-00000012"), Some(Epoch(7)));
        assert_eq!(owner_of("00000007-0003.pieces"), Some(Epoch(7)));
        assert_eq!(owner_of("lost+found"), None);
    }
}
