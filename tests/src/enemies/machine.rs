//! A machine that gives too little: descriptors, memory.

use super::arena::{Arena, SLACK_BYTES, Shown};
use super::frames::{Pushed, push_all};
use super::line::{Line, send, subscribe, take_all};
use super::trouble::{Trouble, ensure};
use super::witness::ensure_credible;
use crate::process::{Launch, MemoryLimit};

/// Descriptors run out under clients: who is served stays served, also where the journal needs new files.
pub(super) fn descriptors(_: bool) -> Result<Shown, Trouble> {
    const DESCRIPTORS: usize = 200;
    const CLIENTS: usize = 500;
    const MESSAGES: usize = 400;
    let directory = tempfile::tempdir()?;
    let launch = Launch::small(&directory.path().join("data")).before(&format!("ulimit -n {DESCRIPTORS}"));
    let arena = Arena::of(
        &launch,
        &["limit of open files", "accept", "connection was refused", "descriptor"],
    )?;
    let mut producer = Line::connected(arena.stomp)?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        let mut line = Line::open(arena.stomp)?;
        line.write(&super::line::connect(""))?;
        lines.push(line);
    }
    // 40 MB: many segments of 4 MiB are made and dropped while no descriptor is free.
    let body = "x".repeat(100_000);
    for number in 0..MESSAGES {
        let headers = format!("persistent:true\nreceipt:{number}\n");
        let frame = send("/queue/files", &headers, &format!("{number}:{body}"));
        producer
            .ask(&frame, &number.to_string())
            .map_err(|trouble| trouble.during("without a free descriptor"))?;
    }
    arena.witness_goes_on()?;
    drop(lines);
    let mut line = Line::connected(arena.stomp)?;
    line.ask(&send("/queue/files", "persistent:true\nreceipt:r\n", "after"), "r")?;
    drop((line, producer));
    let taken = take_all(arena.stomp, "/queue/files")?;
    ensure(taken.len() == MESSAGES + 1, || {
        format!("{} of {} messages came", taken.len(), MESSAGES + 1)
    })?;
    arena.close(
        32 << 20,
        format!("{CLIENTS} clients and {DESCRIPTORS} descriptors: {MESSAGES} messages of 100 kB confirmed without one free, new clients when there are"),
    )
}

/// A broker whose limits fit the memory that it has lives, whatever comes.
pub(super) fn memory_within(_: bool) -> Result<Shown, Trouble> {
    const MEMORY_BYTES: u64 = 160 << 20;
    const CLIENTS: usize = 20;
    let limit = MemoryLimit::new(MEMORY_BYTES)?;
    let directory = tempfile::tempdir()?;
    let mut launch = Launch::small(&directory.path().join("data")).before(&limit.enter());
    for flag in [
        "--limits-volatile-bytes-max=16MiB",
        "--limits-frame-bytes-max=1MiB",
        "--limits-transaction-bytes-max=1MiB",
        "--limits-topic-consumer-bytes-max=1MiB",
        "--limits-read-ahead-bytes-max=64KiB",
    ] {
        launch = launch.flag(flag);
    }
    let arena = Arena::of(&launch, &["sends wait"])?;
    let mut lines = Vec::new();
    for number in 0..CLIENTS {
        let mut line = Line::connected(arena.stomp)?;
        line.write(&subscribe(
            "never",
            "/queue/within",
            "ack:client\nactivemq.prefetchSize:10\n",
        ))?;
        line.write(&subscribe("topic", "/topic/within", "activemq.prefetchSize:10\n"))?;
        let destination = ["/queue/within", "/topic/within", "/queue/nobody"][number % 3];
        let headers = ["persistent:true\n", "", ""][number % 3];
        lines.push((line, send(destination, headers, &"x".repeat(100_000))));
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = lines
            .iter()
            .map(|(line, frame)| scope.spawn(move || super::frames::push(line, frame, 8 << 20)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("it does not panic");
        threads
            .into_iter()
            .try_for_each(|thread| join(thread).map(|_: Pushed| ()))
    })?;
    arena.is_well()?;
    drop(lines);
    arena.close(
        MEMORY_BYTES - SLACK_BYTES,
        format!(
            "{} MiB of memory, limits that fit, {CLIENTS} clients that push 8 MiB each and read nothing",
            MEMORY_BYTES >> 20
        ),
    )
}

/// A broker whose limits do not fit is ended by the kernel: nothing that it confirmed is lost.
pub(super) fn memory_beyond(_: bool) -> Result<Shown, Trouble> {
    const MEMORY_BYTES: u64 = 80 << 20;
    const CLIENTS: usize = 4;
    let limit = MemoryLimit::new(MEMORY_BYTES)?;
    let directory = tempfile::tempdir()?;
    let launch = Launch::small(&directory.path().join("data"));
    let mut arena = Arena::of(&launch.clone().before(&limit.enter()), &["sends wait"])?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        lines.push(Line::connected(arena.stomp)?);
    }
    let pushed = push_all(&lines, &send("/queue/volatile", "", &"x".repeat(100_000)), 200 << 20)?;
    ensure(pushed.contains(&Pushed::Cut), || {
        format!("nothing of {MEMORY_BYTES} bytes of memory was missing: {pushed:?}")
    })?;
    arena = arena.expecting("");
    let (broker, witness, before) = arena.into_parts();
    let ended = broker.wait_end();
    ensure(ended.code.is_none(), || {
        format!("it ended by itself, with {:?}: {}", ended.code, ended.text())
    })?;
    // A write that was under way is warned of.
    let mut broker = launch.start().expecting("nothing shows it as confirmed");
    broker.wait_ready();
    let (stomp, epoch) = (broker.stomp(), broker.epoch());
    let testimony = witness.finish_after_crash(stomp, epoch)?;
    ensure_credible(testimony)?;
    let resident = [before, MEMORY_BYTES, crate::process::resident_bytes(broker.pid())];
    let processor = crate::process::processor_time(broker.pid());
    broker.stop();
    Ok(Shown {
        text: format!(
            "{} MiB of memory and limits of 256: the kernel ends it, the next start has everything that was confirmed",
            MEMORY_BYTES >> 20
        ),
        resident,
        bound: MEMORY_BYTES,
        processor,
        testimony,
    })
}
