//! Whether the claims explain the files: a directory that tells of more than its claims do has lost a claim, or got back an old copy of one, and nothing is begun over it.
//!
//! Invariant: a verdict of damage comes only after the roots were read again, because whoever is looked at may go on meanwhile.

use super::*;

/// The names in `journal/` and `checkpoints/`.
pub(super) struct Found {
    segments: Vec<String>,
    checkpoints: Vec<String>,
}

impl Found {
    pub(super) async fn list(files: &Files) -> Result<Found, Failure> {
        Ok(Found {
            segments: files.list(names::JOURNAL).await.map_err(Failure::Disk)?,
            checkpoints: files.list(names::CHECKPOINTS).await.map_err(Failure::Disk)?,
        })
    }
}

/// Refuses a directory whose files tell of more than its claims do: a claim, or what it held, is gone. `false`: a claim has sealed since the survey, which is to be made anew.
pub(super) async fn explains(context: &StartContext, found: &Found, survey: &Survey) -> Result<bool, Failure> {
    let files = &context.files;
    let Found { segments, checkpoints } = found;
    let every = || segments.iter().chain(checkpoints).map(String::as_str);
    if let Some(name) = every().find(|name| names::owner_of(name).is_some_and(|owner| owner > survey.highest)) {
        return Err(claims_missing(format!(
            "{name} was written by an epoch above {}, the highest that has a claim",
            survey.highest
        )));
    }
    for claim in &survey.younger {
        // One that never sealed has made at most its first segment, named no checkpoint and confirmed nothing.
        let owned = |name: &&&String| names::owner_of(name) == Some(claim.epoch);
        let evidence = if claim.identity.is_none() {
            Some("neither its identity nor a root cell can be read")
        } else if segments.iter().filter(|name| owned(&name)).count() > 1
            || checkpoints.iter().any(|name| owned(&&name))
        {
            Some("there are segments or checkpoints that only a leader makes")
        } else if claim
            .heartbeat(files)
            .await?
            .is_some_and(|beat| beat.confirmed.is_some())
        {
            Some("its heartbeat says that it has confirmed something")
        } else {
            None
        };
        if let Some(evidence) = evidence {
            // It may have sealed and led between the look at its root and the look at what it did.
            let mut again = OpenClaim::open(files, claim.epoch).await?;
            let has_sealed = sealed_root(context, &mut again).await?.is_some();
            files.close(again.file).await.map_err(Failure::Disk)?;
            if has_sealed {
                return Ok(false);
            }
            return Err(Failure::damage(
                names::claim(claim.epoch),
                Some(leadership::Cell::RootA.offset()),
                format!(
                    "the root cells are blank or damaged, yet {evidence}: it may have led. Restore the directory from a backup"
                ),
            ));
        }
    }
    if survey.leader.is_none() {
        let format = files.open(names::FORMAT, Class::Plain, Open::Read).await;
        let format_present = !claims::is_missing(&format);
        if format_present {
            // An error is not damage.
            let (file, _) = format.map_err(Failure::Disk)?;
            files.close(file).await.map_err(Failure::Disk)?;
        }
        let claims: BTreeSet<Epoch> = (1..=survey.highest.0).map(Epoch).collect();
        match Origin::decide(format_present, &claims, every()) {
            Origin::FirstBoot => {}
            Origin::ClaimsMissing(evidence) => return Err(claims_missing(evidence)),
        }
    }
    Ok(true)
}

/// Refuses a predecessor whose log goes further than its root: a segment is announced before it is written, so the claim is older than the log.
pub(super) async fn refuse_unannounced(
    context: &StartContext,
    own: &OwnClaim,
    leader: &mut Leader,
) -> Result<(), Failure> {
    let files = &context.files;
    let (epoch, nonce) = (leader.claim.epoch, leader.root.nonce);
    let listed = files.list(names::JOURNAL).await.map_err(Failure::Disk)?;
    let above = listed
        .iter()
        .filter_map(|name| journal::names::segment_of(name))
        .filter(|(owner, number)| *owner == epoch && *number > leader.root.highest_segment);
    for (_, number) in above {
        if !journal::is_written(files, epoch, nonce, number)
            .await
            .map_err(Failure::Disk)?
        {
            continue;
        }
        // One that was fenced a moment ago may have announced it since: its batch behind that is not confirmed, and does not count.
        if sealed_root(context, &mut leader.claim)
            .await?
            .is_some_and(|root| root.highest_segment >= number)
        {
            continue;
        }
        read_own_fence(files, own.file, own.nonce).await?;
        return Err(Failure::damage(
            segments::path(epoch, number),
            Some(0),
            format!(
                "this segment was written, and {} does not announce it, although a segment is announced before it is written: the claim is older than the log, \
                 as after an old copy of it was put back [R10]. Nothing was changed; put the newest copy of the claim back, or restore the whole directory from one backup",
                names::claim(epoch)
            ),
        ));
    }
    Ok(())
}

fn claims_missing(evidence: String) -> Failure {
    Failure::damage(
        names::EPOCHS,
        None,
        format!(
            "a claim is missing: {evidence}. Nothing is begun over what may hold confirmed messages. Restore epochs/ from a backup, or choose another directory"
        ),
    )
}
