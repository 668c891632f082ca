//! Flow control: who waits for space, what overtakes, and how it goes on.

use std::time::Duration;

use engine::{Settings, Waiting};
use message::{Command, RefusalKind};

use crate::broker::{Broker, Client};

/// Persistent sends do not go on from now on.
fn fill(broker: &Broker) {
    broker.0.borrow_mut().engine.set_store_full(Some("it is full".into()));
}

/// They do again.
fn make_room(broker: &Broker) {
    broker.0.borrow_mut().engine.set_store_full(None);
    broker.wait(0);
}

fn waiting(broker: &Broker) -> Waiting {
    broker.0.borrow().engine.waiting()
}

fn small_memory() -> Settings {
    Settings {
        volatile_bytes_max: 10_000,
        ..Settings::default()
    }
}

#[test]
fn a_persistent_send_waits_for_space_in_the_store_and_a_volatile_one_does_not() {
    let broker = Broker::new();
    let (first, second) = (broker.client(), broker.client());
    fill(&broker);
    let send = first.post("Q", "waits", |_, _| {});
    assert_eq!(first.outcome(send), None);
    assert_eq!(broker.contents("Q"), Vec::<String>::new());
    second.send_volatile("Q", "goes on");
    assert_eq!(waiting(&broker), Waiting { store: 1, memory: 0 });
    make_room(&broker);
    assert_eq!(first.outcome(send), Some(Ok(())));
    assert_eq!(broker.contents("Q"), ["goes on", "waits"]);
    assert_eq!(waiting(&broker), Waiting::default());
}

#[test]
fn what_comes_behind_a_waiting_send_waits_in_order() {
    let broker = Broker::new();
    let client = broker.client();
    fill(&broker);
    let first = client.post("Q", "first", |_, _| {});
    let second = client.post("Q", "second", |message, _| message.persistent = false);
    let (consumer, subscribed) = client.try_subscribe("Q", |_| {});
    assert_eq!(subscribed, None);
    assert_eq!((client.outcome(first), client.outcome(second)), (None, None));
    make_room(&broker);
    assert_eq!(client.outcome(second), Some(Ok(())));
    assert_eq!(consumer.received(), ["first", "second"]);
}

#[test]
fn a_barrier_waits_until_everything_before_it_is_carried_out() {
    let broker = Broker::with(small_memory());
    let (client, other) = (broker.client(), broker.client());
    let barrier = client.request(Command::Barrier);
    assert_eq!(client.outcome(barrier), Some(Ok(())), "nothing waits");
    let consumer = other.subscribe("Q");
    client.send_volatile("Q", &"x".repeat(6_000));
    client.post("Q", &"y".repeat(6_000), |message, _| message.persistent = false);
    let barrier = client.request(Command::Barrier);
    assert_eq!(client.outcome(barrier), None);
    consumer.ack_all();
    assert_eq!(client.outcome(barrier), Some(Ok(())));
    assert_eq!(consumer.fresh().len(), 2);
}

#[test]
fn an_acknowledgement_overtakes_a_waiting_send_of_its_own_connection() {
    let broker = Broker::with(small_memory());
    let client = broker.client();
    let consumer = client.subscribe("Q");
    client.send_volatile("Q", &"x".repeat(6_000));
    let send = client.post("Q", &"y".repeat(6_000), |message, _| message.persistent = false);
    assert_eq!(client.outcome(send), None);
    assert_eq!(waiting(&broker), Waiting { store: 0, memory: 1 });
    consumer.ack_all();
    assert_eq!(client.outcome(send), Some(Ok(())), "the acknowledgement made room");
    assert_eq!(consumer.fresh().len(), 2);
}

#[test]
fn a_pull_overtakes_a_waiting_send_of_its_own_connection() {
    let broker = Broker::with(small_memory());
    let client = broker.client();
    client.send_volatile("Q", &"x".repeat(6_000));
    let consumer = client.subscribe_with("Q", |subscribe| subscribe.prefetch = 0);
    let send = client.post("Q", &"y".repeat(6_000), |message, _| message.persistent = false);
    consumer.pull(1);
    consumer.ack_all();
    assert_eq!(client.outcome(send), Some(Ok(())));
}

#[test]
fn a_transactional_acknowledgement_waits_behind_a_send() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "old");
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    fill(&broker);
    let send = client.post("R", "waits", |_, _| {});
    let ack = consumer.post_ack_in(transaction, "old");
    let commit = client.post_commit(transaction);
    assert_eq!((client.outcome(ack), client.outcome(commit)), (None, None));
    make_room(&broker);
    assert_eq!(client.outcome(send), Some(Ok(())));
    assert_eq!(client.outcome(commit), Some(Ok(())));
    assert_eq!(broker.contents("Q"), Vec::<String>::new());
}

#[test]
fn an_acknowledgement_behind_a_rollback_that_waits_waits_too_and_counts() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "old");
    client.send("Q", "other");
    let consumer = client.subscribe("Q");
    let transaction = client.begin();
    consumer.ack_in(transaction, "old");
    fill(&broker);
    let send = client.post("R", "waits", |_, _| {});
    let rollback = client.post_rollback(transaction);
    let ack = consumer.post_ack("old");
    assert_eq!(client.outcome(ack), None, "it is not known yet that it is open");
    let other = consumer.post_ack("other");
    assert_eq!(
        client.outcome(other),
        Some(Ok(())),
        "what is in no transaction overtakes"
    );
    make_room(&broker);
    for request in [send, rollback, ack] {
        assert_eq!(client.outcome(request), Some(Ok(())));
    }
    client.disconnect();
    assert_eq!(broker.contents("Q"), Vec::<String>::new());
}

#[test]
fn a_send_that_may_wait_for_ever_is_never_given_up() {
    let broker = Broker::new();
    let client = broker.client();
    fill(&broker);
    let send = client.post("Q", "waits", |_, _| {});
    broker.wait(3_600_000);
    assert_eq!(client.outcome(send), None);
    assert_eq!(waiting(&broker), Waiting { store: 1, memory: 0 });
    make_room(&broker);
    assert_eq!(client.outcome(send), Some(Ok(())));
}

#[test]
fn what_needs_no_space_goes_on_when_the_send_before_it_is_given_up() {
    let broker = Broker::with(Settings {
        send_fail_if_no_space_after: Some(Duration::from_secs(1)),
        ..Settings::default()
    });
    let client = broker.client();
    fill(&broker);
    let send = client.post("Q", "waits", |_, _| {});
    let behind = client.post("Q", "volatile", |message, _| message.persistent = false);
    let (_, subscribed) = client.try_subscribe("Q", |_| {});
    let again = client.post("Q", "waits too", |_, _| {});
    assert_eq!((client.outcome(behind), subscribed), (None, None));
    broker.wait(1_000);
    assert!(matches!(client.outcome(send), Some(Err(_))));
    assert_eq!(client.outcome(behind), Some(Ok(())));
    assert_eq!(client.outcome(again), None, "its own time has just begun");
    broker.wait(1_000);
    assert!(matches!(client.outcome(again), Some(Err(_))));
    assert_eq!(waiting(&broker), Waiting::default());
    let later = client.post("Q", "volatile too", |message, _| message.persistent = false);
    assert_eq!(client.outcome(later), Some(Ok(())), "nothing waits any more");
}

#[test]
fn a_commit_waits_whole_and_takes_place_whole() {
    let broker = Broker::new();
    let client = broker.client();
    let transaction = client.begin();
    client.send_in(transaction, "Q", "a");
    client.send_in(transaction, "R", "b");
    fill(&broker);
    let commit = client.post_commit(transaction);
    assert_eq!(client.outcome(commit), None);
    assert_eq!(broker.contents("Q"), Vec::<String>::new());
    make_room(&broker);
    assert_eq!(client.outcome(commit), Some(Ok(())));
    assert_eq!(
        (broker.contents("Q"), broker.contents("R")),
        (vec!["a".into()], vec!["b".into()])
    );
}

#[test]
fn a_commit_of_acknowledgements_alone_goes_on_in_a_full_store() {
    let broker = Broker::new();
    let client = broker.client();
    client.send("Q", "old");
    let consumer = client.subscribe("Q");
    fill(&broker);
    let transaction = client.begin();
    consumer.ack_in(transaction, "old");
    assert_eq!(client.commit(transaction), Some(Ok(())));
}

#[test]
fn a_resend_of_what_is_stored_does_not_wait_for_space() {
    let broker = Broker::new();
    let client = broker.client();
    assert_eq!(client.send_unique("Q", "once", "d"), Some(Ok(())));
    fill(&broker);
    assert_eq!(client.send_unique("Q", "once", "d"), Some(Ok(())));
    assert_eq!(client.send_unique("R", "elsewhere", "d"), None, "it is no resend there");
}

#[test]
fn who_came_first_goes_on_first() {
    let broker = Broker::with(small_memory());
    let consumer = broker.client().subscribe("Q");
    let clients: Vec<Client> = (0..4).map(|_| broker.client()).collect();
    clients[0].send_volatile("Q", &"0".repeat(9_000));
    let sends: Vec<_> = (1..4)
        .map(|index: usize| {
            let body = index.to_string().repeat(9_000);
            clients[index].post("Q", &body, |message, _| message.persistent = false)
        })
        .collect();
    for (index, send) in (1..4).zip(&sends) {
        assert_eq!(clients[index].outcome(*send), None);
        consumer.ack_all();
        assert_eq!(clients[index].outcome(*send), Some(Ok(())), "{index}");
    }
}

#[test]
fn a_smaller_send_goes_on_when_the_one_before_it_took_its_share() {
    let broker = Broker::with(small_memory());
    let consumer = broker.client().subscribe("Q");
    let (filler, large, small) = (broker.client(), broker.client(), broker.client());
    filler.send_volatile("Q", &"x".repeat(9_000));
    let large_send = large.post("Q", &"l".repeat(6_000), |message, _| message.persistent = false);
    let small_send = small.post("Q", &"s".repeat(2_000), |message, _| message.persistent = false);
    assert_eq!(small.outcome(small_send), None, "it came later");
    consumer.ack_all();
    assert_eq!(large.outcome(large_send), Some(Ok(())));
    assert_eq!(small.outcome(small_send), Some(Ok(())));
}

#[test]
fn who_waits_for_memory_behind_a_connection_that_goes_is_looked_at_by_itself() {
    let broker = Broker::with(small_memory());
    let consumer = broker.client().subscribe("Q");
    let (filler, large, small) = (broker.client(), broker.client(), broker.client());
    filler.send_volatile("Q", &"x".repeat(5_000));
    filler.send_volatile("Q", &"y".repeat(2_500));
    large.post("Q", &"l".repeat(8_000), |message, _| message.persistent = false);
    let small_send = small.post("Q", &"s".repeat(4_000), |message, _| message.persistent = false);
    consumer.ack(&"y".repeat(2_500));
    assert_eq!(small.outcome(small_send), None, "it came later");
    large.disconnect();
    assert_eq!(small.outcome(small_send), Some(Ok(())));
}

#[test]
fn what_would_never_fit_is_refused_when_its_turn_comes_and_holds_nobody_up() {
    let broker = Broker::with(small_memory());
    let consumer = broker.client().subscribe("Q");
    let (filler, client, other) = (broker.client(), broker.client(), broker.client());
    filler.send_volatile("Q", &"x".repeat(9_000));
    let first = client.post("Q", &"1".repeat(5_000), |message, _| message.persistent = false);
    let never = client.post("Q", &"n".repeat(20_000), |message, _| message.persistent = false);
    let theirs = other.post("Q", &"2".repeat(4_000), |message, _| message.persistent = false);
    consumer.ack_all();
    assert_eq!(client.outcome(first), Some(Ok(())));
    let refusal = client
        .outcome(never)
        .expect("it is answered")
        .expect_err("it never fits");
    assert!(refusal.text.contains("Memory Limit reached"), "{refusal}");
    assert_eq!(other.outcome(theirs), Some(Ok(())));
}

#[test]
fn each_of_a_connections_sends_may_wait_for_as_long_as_the_settings_say() {
    let broker = Broker::with(Settings {
        send_fail_if_no_space_after: Some(Duration::from_secs(5)),
        ..small_memory()
    });
    let consumer = broker.client().subscribe("Q");
    let (filler, client) = (broker.client(), broker.client());
    filler.send_volatile("Q", &"x".repeat(9_000));
    let first = client.post("Q", &"1".repeat(9_000), |message, _| message.persistent = false);
    let second = client.post("Q", &"2".repeat(9_000), |message, _| message.persistent = false);
    broker.wait(4_000);
    consumer.ack_all();
    assert_eq!(client.outcome(first), Some(Ok(())));
    broker.wait(4_999);
    assert_eq!(client.outcome(second), None, "it has been the first for less than 5 s");
    broker.wait(1);
    assert!(client.outcome(second).is_some_and(|outcome| outcome.is_err()));
}

#[test]
fn what_would_never_fit_is_refused_at_once() {
    let broker = Broker::with(small_memory());
    let client = broker.client();
    let outcome = client.send_with("Q", &"x".repeat(20_000), |message, _| message.persistent = false);
    let refusal = outcome.unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::ResourceAllocation);
    assert!(
        refusal
            .text
            .starts_with("Usage Manager Memory Limit reached on queue://Q"),
        "{refusal}"
    );
    client.send_volatile("Q", "fits");
}

#[test]
fn sends_fail_at_once_where_the_settings_say_so() {
    let broker = Broker::with(Settings {
        send_fail_if_no_space: true,
        ..Settings::default()
    });
    let client = broker.client();
    let transaction = client.begin();
    client.send_in(transaction, "Q", "in it");
    fill(&broker);
    let refusal = client.try_send("Q", "x").unwrap().unwrap_err();
    assert!(
        refusal.text.starts_with("Persistent store is Full: it is full."),
        "{refusal}"
    );
    let refusal = client.commit(transaction).unwrap().unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::TransactionRolledBack);
    assert!(refusal.text.contains("Persistent store is Full"), "{refusal}");
    make_room(&broker);
    client.send("Q", "goes on");
    assert_eq!(broker.contents("Q"), ["goes on"]);
}

#[test]
fn a_send_gives_up_when_it_has_waited_for_long_enough_and_the_next_begins_to_wait() {
    let broker = Broker::with(Settings {
        send_fail_if_no_space_after: Some(Duration::from_secs(5)),
        ..Settings::default()
    });
    let (client, other) = (broker.client(), broker.client());
    fill(&broker);
    let first = client.post("Q", "first", |_, _| {});
    let second = client.post("Q", "second", |_, _| {});
    broker.wait(1_000);
    let theirs = other.post("Q", "theirs", |_, _| {});
    broker.wait(3_999);
    assert_eq!(client.outcome(first), None);
    broker.wait(1);
    assert!(
        client
            .outcome(first)
            .unwrap()
            .unwrap_err()
            .text
            .contains("Persistent store is Full")
    );
    assert_eq!((client.outcome(second), other.outcome(theirs)), (None, None));
    broker.wait(1_000);
    assert!(other.outcome(theirs).unwrap().is_err());
    broker.wait(3_999);
    assert_eq!(client.outcome(second), None);
    broker.wait(1);
    assert!(client.outcome(second).unwrap().is_err());
    make_room(&broker);
    assert_eq!(broker.contents("Q"), Vec::<String>::new());
}

#[test]
fn a_connection_that_goes_takes_what_waited_with_it() {
    let broker = Broker::new();
    let (gone, stays) = (broker.client(), broker.client());
    fill(&broker);
    gone.post("Q", "gone", |_, _| {});
    let send = stays.post("Q", "stays", |_, _| {});
    gone.disconnect();
    make_room(&broker);
    assert_eq!(stays.outcome(send), Some(Ok(())));
    assert_eq!(broker.contents("Q"), ["stays"]);
    assert_eq!(waiting(&broker), Waiting::default());
}

#[test]
fn no_more_is_read_from_a_connection_than_may_wait_behind_its_first_send() {
    let broker = Broker::with(Settings {
        waiting_bytes_max: 10_000,
        ..Settings::default()
    });
    let client = broker.client();
    fill(&broker);
    let is_backed_up = || broker.0.borrow().engine.is_backed_up(client.id);
    let bytes_waiting = || broker.0.borrow().engine.bytes_waiting();
    // However large the first is, what comes behind it may be what makes room.
    client.post("Q", &"x".repeat(60_000), |_, _| {});
    assert!(!is_backed_up());
    assert!((60_000..62_000).contains(&bytes_waiting()), "{}", bytes_waiting());
    client.post("Q", &"x".repeat(6_000), |_, _| {});
    assert!(!is_backed_up());
    let last = client.post("Q", &"x".repeat(6_000), |_, _| {});
    assert!(is_backed_up());
    make_room(&broker);
    assert!(!is_backed_up());
    assert_eq!(bytes_waiting(), 0);
    assert_eq!(client.outcome(last), Some(Ok(())));
}

#[test]
fn what_waits_is_counted_until_it_is_done_refused_or_gone() {
    let broker = Broker::with(Settings {
        send_fail_if_no_space_after: Some(Duration::from_secs(1)),
        ..Settings::default()
    });
    let (first, second) = (broker.client(), broker.client());
    fill(&broker);
    let bytes_waiting = || broker.0.borrow().engine.bytes_waiting();
    first.post("Q", &"x".repeat(1_000), |_, _| {});
    let one = bytes_waiting();
    second.post("Q", &"x".repeat(1_000), |_, _| {});
    second.try_subscribe("Q", |subscribe| subscribe.selector = Some("a".repeat(5_000).into()));
    assert!(bytes_waiting() > 2 * one + 5_000, "{one}, {}", bytes_waiting());
    second.disconnect();
    assert_eq!(bytes_waiting(), one);
    broker.wait(1_000);
    assert_eq!(bytes_waiting(), 0);
}
