//! The process's limit of open descriptors.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to `want` as far as the machine lets us, and gives the limit then in force.
///
/// Never lowers it. A result below `want` is no error here: the caller says what it means for connections.
pub fn raise_descriptor_limit(want: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= want {
        return Ok(soft);
    }
    // Above the hard limit needs CAP_SYS_RESOURCE, and fs.nr_open bounds that too.
    if hard < want && setrlimit(Resource::RLIMIT_NOFILE, want, want).is_ok() {
        return Ok(want);
    }
    let reachable = want.min(hard);
    if reachable > soft {
        setrlimit(Resource::RLIMIT_NOFILE, reachable, hard)?;
    }
    Ok(reachable.max(soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_rises_to_what_the_machine_allows_and_never_falls() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_descriptor_limit(1).unwrap(), soft);
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_descriptor_limit(hard).unwrap(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, hard);
        assert_eq!(
            raise_descriptor_limit(u64::MAX / 2).unwrap(),
            getrlimit(Resource::RLIMIT_NOFILE).unwrap().0
        );
    }
}
