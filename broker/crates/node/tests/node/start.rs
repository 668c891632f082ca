//! Who gets to lead: starts on a simulated disk, alone and against each other.

use std::time::Duration;

use leadership::{Cell, CellState, FORMAT_VERSION, Root, names};
use message::Epoch;
use node::{End, Failure, Role, Settings};
use platform::FileSystem;
use simulated::{Landed, Prng, Stalled};

use crate::world::{Broker, World, settings};

fn epoch(world: &World, broker: &Broker) -> Option<Epoch> {
    broker.node.status(world.now()).epoch
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_its_leader_not_fenced() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    world.kill(first);
    let claim = names::claim(Epoch(1));
    let mut content = world.storage.read_file(&claim).expect("it led");
    let place = |cell: Cell| cell.offset() as usize..cell.offset() as usize + platform::BLOCK_BYTES;
    let block = bytes::Bytes::copy_from_slice(&content[place(Cell::RootA)]);
    let CellState::Valid(mut root) = Root::decode(&block, None) else {
        panic!("root A is whole");
    };
    root.format_version = FORMAT_VERSION + 1;
    for cell in [Cell::RootA, Cell::RootB] {
        content[place(cell)].copy_from_slice(&root.encode().unwrap());
    }
    world.storage.write_file(&claim, &content);
    let mut older = world.start(settings());
    let end = world.end(&mut older);
    assert!(
        matches!(&end, End::Failed(Failure::Unfit { what, .. }) if what.contains("format version 2")),
        "{end:?}"
    );
    assert_eq!(world.storage.read_file(&claim), Some(content), "nobody was fenced");
    assert_eq!(world.storage.read_file(&names::claim(Epoch(2))), None, "nobody claimed");
}

#[test]
fn a_fresh_directory_is_led_at_once_and_again_after_a_clean_stop() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    assert!(world.lead(&mut first) < Duration::from_millis(100));
    assert_eq!(epoch(&world, &first), Some(Epoch(1)));
    first.node.stop(world.now());
    assert!(matches!(world.end(&mut first), End::Stopped));
    world.kill(first);
    let mut second = world.start(settings());
    assert!(
        world.lead(&mut second) < Duration::from_millis(100),
        "a goodbye need not be waited for"
    );
    assert_eq!(epoch(&world, &second), Some(Epoch(2)));
}

#[test]
fn a_restart_after_kill_serves_at_once_on_a_local_disk() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    world.kill(first);
    let mut second = world.start(settings());
    assert!(
        world.lead(&mut second) < Duration::from_millis(100),
        "its process is proved gone"
    );
}

#[test]
fn a_restart_after_a_reboot_serves_at_once_on_a_local_disk() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    world.storage.reboot_machine(world.machine, &Landed::None);
    drop(first);
    let mut second = world.start(settings());
    assert!(
        world.lead(&mut second) < Duration::from_millis(100),
        "another boot proves it gone"
    );
}

#[test]
fn on_a_shared_file_system_a_dead_leader_is_waited_for_until_it_is_silent() {
    let mut world = World::new(FileSystem::Nfs4);
    let shared = || Settings {
        shared_unknown: true,
        ..settings()
    };
    let mut first = world.start(shared());
    world.lead(&mut first);
    world.kill(first);
    world.machine = world.storage.boot_machine("second");
    let mut second = world.start(shared());
    let took = world.lead(&mut second);
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn an_unknown_file_system_is_refused_unless_asked_for() {
    for file_system in [FileSystem::Unknown("fuse.sshfs".into()), FileSystem::Nfs4] {
        let mut world = World::new(file_system);
        let mut broker = world.start(settings());
        let End::Failed(Failure::Unfit { what_to_do, .. }) = world.end(&mut broker) else {
            panic!("it was to refuse")
        };
        assert!(what_to_do.contains("--shared-unknown"), "{what_to_do}");
        assert!(
            world.storage.files().is_empty(),
            "nothing was written: {:?}",
            world.storage.files()
        );
    }
}

#[test]
fn a_second_process_ends_and_says_who_leads_while_the_first_goes_on() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    let mut second = world.start(settings());
    let took = world.run(Duration::from_secs(5), &mut [&mut first, &mut second], |brokers| {
        brokers[1].node.end().is_some()
    });
    let Some(End::Failed(Failure::AnotherLeads {
        epoch: Epoch(1),
        identity: Some(identity),
    })) = second.node.end()
    else {
        panic!("{:?}", second.node.end())
    };
    assert_eq!(identity.addresses.clients, ["stomp://127.0.0.1:61613"]);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(first.node.end().is_none());
    assert_eq!(
        world
            .storage
            .files()
            .iter()
            .filter(|name| name.starts_with("epochs/"))
            .count(),
        1,
        "nothing is left of it"
    );
}

#[test]
fn two_that_start_together_end_as_one_leader() {
    for seed in 0..50 {
        let mut world = World::new(FileSystem::Local);
        world.storage.reseed(seed);
        world.random = Prng::new(seed);
        let (mut first, mut second) = (world.start(settings()), world.start(settings()));
        world.run(Duration::from_secs(10), &mut [&mut first, &mut second], |_| false);
        let leading = [&first, &second]
            .iter()
            .filter(|broker| broker.node.status(world.now()).role == Role::Leading)
            .count();
        assert_eq!(
            leading,
            1,
            "seed {seed}: {:?} and {:?}",
            first.node.end(),
            second.node.end()
        );
    }
}

#[test]
fn a_frozen_leader_that_was_succeeded_sends_nothing_and_ends_when_it_wakes() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    // Only the second is given turns: the first is frozen, alive and silent.
    let mut second = world.start(settings());
    world.lead(&mut second);
    assert!(!first.node.may_send(world.now()), "its last open fence read is too old");
    let End::Failed(Failure::Fenced { by: Epoch(2) }) = world.end(&mut first) else {
        panic!("{:?}", first.node.end())
    };
    assert!(second.node.end().is_none());
}

#[test]
fn a_stalled_disk_silences_the_leader_and_ends_it_only_after_storage_stall_max() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    world
        .storage
        .stall(Stalled::Everything, world.storage.now() + Duration::from_secs(40));
    world.run(Duration::from_secs(10), &mut [&mut broker], |_| false);
    let status = broker.node.status(world.now());
    assert!(status.not_ready.is_some() && !broker.node.may_send(world.now()));
    world.run(Duration::from_secs(40), &mut [&mut broker], |_| false);
    assert_eq!(
        broker.node.status(world.now()).not_ready,
        None,
        "a stall of 40 s is no failure"
    );

    world
        .storage
        .stall(Stalled::Everything, world.storage.now() + Duration::from_secs(500));
    assert!(matches!(world.end(&mut broker), End::Failed(Failure::Stalled { .. })));
}

#[test]
fn a_missing_claim_is_damage_and_a_history_is_never_begun_over_an_older_one() {
    let mut world = World::new(FileSystem::Local);
    for _ in 0..2 {
        let mut broker = world.start(settings());
        world.lead(&mut broker);
        world.kill(broker);
    }
    let refusal = |world: &mut World| {
        let mut broker = world.start(settings());
        match world.end(&mut broker) {
            End::Failed(Failure::Damage { file, .. }) => file,
            end => panic!("it was to refuse: {end:?}"),
        }
    };
    // Each twice: a refusal must not leave behind what the next start could take for an explanation.
    world.storage.remove_file(&names::claim(Epoch(2)));
    for _ in 0..2 {
        assert_eq!(refusal(&mut world), "epochs", "segments of epoch 2 have no claim");
    }
    world.storage.remove_file(&names::claim(Epoch(1)));
    for _ in 0..2 {
        assert_eq!(refusal(&mut world), "epochs", "FORMAT says that somebody has led here");
    }
    world.storage.remove_file(names::FORMAT);
    for _ in 0..3 {
        assert_eq!(refusal(&mut world), "epochs", "segments say so too");
    }
}

#[test]
fn damage_in_a_claim_is_warned_of_where_a_copy_is_left_and_refused_where_none_is() {
    let offset = |cell: Cell| cell.offset() + 40;
    let cases: [(&[Cell], bool); 6] = [
        (&[Cell::RootA], true),
        (&[Cell::RootB], true),
        (&[Cell::Identity], true),
        (&[Cell::Heartbeat], true),
        (&[Cell::Fence], true),
        (&[Cell::RootA, Cell::RootB], false),
    ];
    for (cells, starts) in cases {
        let mut world = World::new(FileSystem::Local);
        let mut broker = world.start(settings());
        world.lead(&mut broker);
        world.kill(broker);
        for cell in cells {
            assert!(world.storage.flip_bit(&names::claim(Epoch(1)), offset(*cell), 3));
        }
        let mut broker = world.start(settings());
        world.run(Duration::from_secs(20), &mut [&mut broker], |brokers| {
            brokers[0].node.end().is_some() || brokers[0].node.status(world.now()).role == Role::Leading
        });
        let warnings = broker.node.status(world.now()).warnings;
        match broker.node.end() {
            None => assert!(starts, "{cells:?}"),
            Some(End::Failed(Failure::Damage {
                file, offset: Some(_), ..
            })) => {
                assert!(!starts, "{cells:?} refused in {file}");
                assert_eq!(file, "epochs/00000001");
            }
            Some(end) => panic!("{cells:?}: {end:?}"),
        }
        let is_silent = cells.contains(&Cell::Fence) || !starts;
        assert_eq!(warnings.is_empty(), is_silent, "{cells:?}: {warnings:?}");
    }
}

#[test]
fn a_gap_in_the_claims_is_damage() {
    let mut world = World::new(FileSystem::Local);
    for _ in 0..2 {
        let mut broker = world.start(settings());
        world.lead(&mut broker);
        world.kill(broker);
    }
    world.storage.remove_file(&names::claim(Epoch(1)));
    let mut broker = world.start(settings());
    let End::Failed(Failure::Damage { file, .. }) = world.end(&mut broker) else {
        panic!("it was to refuse")
    };
    assert_eq!(file, "epochs/00000001");
}

#[test]
fn a_claim_whose_roots_are_gone_is_damage_if_anything_shows_that_it_led() {
    for whole in [true, false] {
        let mut world = World::new(FileSystem::Local);
        let mut broker = world.start(settings());
        world.lead(&mut broker);
        let mut client = world.client(&mut broker);
        world.say(
            &mut broker,
            &mut client,
            "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\nprecious",
        );
        world.listen(&mut broker, &mut client, "RECEIPT");
        world.run(Duration::from_secs(1), &mut [&mut broker], |_| false);
        world.kill(broker);
        let path = names::claim(Epoch(1));
        let mut claim = world.storage.read_file(&path).expect("the claim is there");
        if whole {
            claim.fill(0);
        } else {
            claim[Cell::RootA.offset() as usize..Cell::Heartbeat.offset() as usize].fill(0);
        }
        world.storage.write_file(&path, &claim);
        for _ in 0..2 {
            let mut broker = world.start(settings());
            let End::Failed(Failure::Damage { .. }) = world.end(&mut broker) else {
                panic!("it was to refuse: {:?}", broker.node.end())
            };
        }
    }
}

#[test]
fn what_was_confirmed_right_before_a_clean_stop_is_protected_by_position() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    let mut client = world.client(&mut broker);
    world.say(
        &mut broker,
        &mut client,
        "SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r\n\nprecious",
    );
    world.listen(&mut broker, &mut client, "RECEIPT");
    broker.node.stop(world.now());
    assert!(matches!(world.end(&mut broker), End::Stopped));
    world.kill(broker);
    let segment = "journal/00000001-00000001";
    let content = world.storage.read_file(segment).expect("the segment is there");
    let at = content
        .windows(8)
        .rposition(|bytes| bytes == b"precious")
        .expect("the body is in it");
    assert!(world.storage.flip_bit(segment, at as u64, 1));
    let mut broker = world.start(settings());
    let End::Failed(Failure::Damage { file, .. }) = world.end(&mut broker) else {
        panic!("{:?}", broker.node.end())
    };
    assert_eq!(file, segment);
}

#[test]
fn a_start_that_was_overtaken_while_it_read_is_fenced_and_calls_nothing_damage() {
    let checkpoints = || Settings {
        checkpoint_interval: Duration::from_millis(200),
        ..settings()
    };
    let send = |world: &World, broker: &mut Broker| {
        let mut client = world.client(broker);
        for number in 0..4 {
            let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:{number}\n\n{number}");
            world.say(broker, &mut client, &frame);
            world.listen(broker, &mut client, "RECEIPT");
            world.run(Duration::from_millis(400), &mut [&mut *broker], |_| false);
        }
    };
    let mut held_up_while_reading = 0;
    for moment in 0..12 {
        let mut world = World::new(FileSystem::Local);
        let mut first = world.start(checkpoints());
        world.lead(&mut first);
        send(&world, &mut first);
        world.kill(first);
        // It is held up somewhere in what it reads; meanwhile another claims, leads, and deletes what it needs no more.
        let mut held_up = world.start(checkpoints());
        world.run(Duration::from_secs(5), &mut [&mut held_up], |brokers| {
            brokers[0].node.status(world.now()).phase == "reading the history"
        });
        world.run(Duration::from_micros(100 * moment), &mut [&mut held_up], |_| false);
        if held_up.node.status(world.now()).phase != "reading the history" {
            break;
        }
        held_up_while_reading += 1;
        let mut second = world.start(checkpoints());
        world.lead(&mut second);
        send(&world, &mut second);
        let End::Failed(Failure::Fenced { by: Epoch(3) }) = world.end(&mut held_up) else {
            panic!("held up after {moment}: {:?}", held_up.node.end())
        };
        assert!(second.node.end().is_none());
    }
    assert!(held_up_while_reading > 5, "{held_up_while_reading}");
}

/// A history with one sealed epoch and a claim above it that died before its seal.
fn with_an_unsealed_claim() -> World {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    world.kill(first);
    let mut second = world.start(settings());
    world.run(Duration::from_secs(5), &mut [&mut second], |brokers| {
        brokers[0].node.status(world.now()).phase == "fencing earlier epochs"
    });
    world.kill(second);
    assert!(world.storage.files().contains(&names::claim(Epoch(2))));
    world
}

/// How the next start ends; `None`: it leads.
fn next_end(world: &mut World) -> Option<End> {
    let mut broker = world.start(settings());
    world.run(Duration::from_secs(20), &mut [&mut broker], |brokers| {
        brokers[0].node.end().is_some() || brokers[0].node.status(world.now()).role == Role::Leading
    });
    broker.node.end().cloned()
}

#[test]
fn a_claim_that_died_before_its_seal_is_passed_over_unless_it_may_have_led() {
    let root_a = Cell::RootA.offset() as usize;
    let root_b = Cell::RootB.offset() as usize;
    let identity = Cell::Identity.offset() as usize + 40;
    type Damage = fn(&mut Vec<u8>, [usize; 3]);
    let cases: [(&str, Damage, bool); 6] = [
        ("nothing is wrong", |_, _| {}, true),
        ("root A is torn, B blank", |claim, [a, ..]| claim[a + 40] = 1, true),
        ("root A is blank, B torn", |claim, [_, b, _]| claim[b + 40] = 1, false),
        (
            "both are torn",
            |claim, [a, b, _]| (claim[a + 40], claim[b + 40]) = (1, 1),
            false,
        ),
        ("the identity is damaged", |claim, [.., i]| claim[i] ^= 1, false),
        ("the file is cut off", |claim, _| claim.truncate(4096), false),
    ];
    for (what, damage, starts) in cases {
        let mut world = with_an_unsealed_claim();
        let path = names::claim(Epoch(2));
        let mut claim = world.storage.read_file(&path).expect("it is there");
        damage(&mut claim, [root_a, root_b, identity]);
        world.storage.write_file(&path, &claim);
        match next_end(&mut world) {
            None => assert!(starts, "{what}"),
            Some(End::Failed(Failure::Damage { file, .. })) => assert!(!starts && file == path, "{what}: {file}"),
            Some(end) => panic!("{what}: {end:?}"),
        }
    }
}

#[test]
fn a_leader_whose_own_fence_cell_is_damaged_ends() {
    let mut world = World::new(FileSystem::Local);
    let mut broker = world.start(settings());
    world.lead(&mut broker);
    assert!(
        world
            .storage
            .flip_bit(&names::claim(Epoch(1)), Cell::Fence.offset() + 40, 3)
    );
    assert!(matches!(world.end(&mut broker), End::Failed(Failure::Fenced { .. })));
}

#[test]
fn a_file_of_no_epoch_refuses_only_a_first_start() {
    for stray in ["journal/core", "checkpoints/core"] {
        let mut world = World::new(FileSystem::Local);
        world.storage.write_file(stray, b"stray");
        assert!(
            matches!(next_end(&mut world), Some(End::Failed(Failure::Damage { .. }))),
            "{stray}"
        );
        let mut world = with_an_unsealed_claim();
        world.storage.write_file(stray, b"stray");
        assert!(next_end(&mut world).is_none(), "{stray}");
        assert!(world.storage.read_file(stray).is_some(), "it is left alone");
    }
}

#[test]
fn a_claim_that_is_older_than_its_log_is_refused() {
    let mut world = World::new(FileSystem::Local);
    let mut first = world.start(settings());
    world.lead(&mut first);
    let claim = names::claim(Epoch(1));
    let early = world.storage.read_file(&claim).expect("it leads");
    let mut client = world.client(&mut first);
    let body = "x".repeat(60 << 10);
    for number in 0..12 {
        let frame = format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:r{number}\n\n{body}");
        world.say(&mut first, &mut client, &frame);
        world.listen(&mut first, &mut client, &format!("receipt-id:r{number}\n"));
    }
    world.kill(first);
    let late = world.storage.read_file(&claim).expect("it led");
    world.storage.write_file(&claim, &early);
    let mut second = world.start(settings());
    let end = world.end(&mut second);
    assert!(
        matches!(&end, End::Failed(Failure::Damage { file, text, .. }) if file.starts_with("journal/") && text.contains("older than the log")),
        "{end:?}"
    );
    // With the newest copy everything is there; what the refused start fenced is fenced anew.
    world.storage.write_file(&claim, &late);
    let mut third = world.start(settings());
    world.lead(&mut third);
    assert_eq!(third.node.engine().expect("it leads").statistics().messages, 12);
}

#[test]
fn a_leader_whose_claim_was_replaced_ends_within_a_beat() {
    for replaced in [true, false] {
        let mut world = World::new(FileSystem::Local);
        let mut broker = world.start(settings());
        world.lead(&mut broker);
        let claim = names::claim(Epoch(1));
        let content = world.storage.read_file(&claim).expect("it leads");
        world.storage.remove_file(&claim);
        if replaced {
            world.storage.write_file(&claim, &content);
        }
        let before = world.storage.now();
        let end = world.end(&mut broker);
        assert!(
            matches!(&end, End::Failed(Failure::Disk(error)) if error.detail.contains("no name there any more")),
            "{end:?}"
        );
        assert!(world.storage.now().since(before) < Duration::from_secs(1));
    }
}
