//! The HTTP interface over a broker that exists only here.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::admin::{
    Answer, BrokerView, BrowseRequest, BrowsedMessage, Closed, ConnectionStatus, ConnectionsRequest, Created,
    DeadLettersAnswer, DeadLettersRequest, Deleted, DestinationStatus, DiskStatus, Metric, MoveRequest, MoveStatus,
    Page, Purge, Purged, Refused, RefusedKind, Role, Status, SubscriptionStatus, SubscriptionsRequest,
};
use message::Destination;

/// A broker of which only the view exists.
struct Painted {
    status: Mutex<Status>,
    orders: Mutex<Vec<String>>,
    destinations: Vec<DestinationStatus>,
}

fn leading() -> Status {
    Status {
        name: "test".into(),
        version: "0.0.0".into(),
        role: Role::Leading,
        ready: true,
        reason: String::new(),
        epoch: Some(7),
        leader: None,
        pid: 1,
        uptime_seconds: 61,
        listeners: vec!["stomp://127.0.0.1:61613".into()],
        admin: "127.0.0.1:8161".into(),
        data: "data".into(),
        recovery: None,
        connections: 2,
        consumers: 1,
        destinations: 1,
        messages: 3,
        set_aside: 0,
        confirmed_sequence: 9,
        oldest_write_milliseconds: None,
        disk: DiskStatus::default(),
        warnings: Vec::new(),
    }
}

impl Painted {
    fn order<T: 'static>(&self, order: String, answer: Result<T, Refused>) -> Answer<'_, T> {
        self.orders.lock().unwrap().push(order);
        Box::pin(async move { answer })
    }
}

/// The same broker, seen by the server's thread.
struct Shared(Arc<Painted>);

impl BrokerView for Shared {
    fn status(&self) -> Status {
        self.0.status.lock().unwrap().clone()
    }
    fn metrics(&self) -> Vec<Metric> {
        let connections = Metric {
            name: "connections",
            help: "Clients now.",
            counter: false,
            labels: vec![],
            value: 77.0,
        };
        let enqueued = Metric {
            name: "messages_enqueued_total",
            help: "Messages that came in.",
            counter: true,
            labels: vec![("destination", "queue://with \"quotes\"\\".into())],
            value: 4.0,
        };
        vec![connections, enqueued]
    }
    fn destinations(&self, after: Option<String>, limit: usize) -> Answer<'_, Vec<DestinationStatus>> {
        let after = after.unwrap_or_default();
        let found = self
            .0
            .destinations
            .iter()
            .filter(|found| found.name > after)
            .take(limit);
        let found = found.cloned().collect();
        Box::pin(async move { Ok(found) })
    }
    fn destination(&self, destination: Destination) -> Answer<'_, DestinationStatus> {
        let refused = Refused::new(
            RefusedKind::NotFound,
            "there is no such destination",
            destination.to_string(),
            "list them",
        );
        self.0.order(format!("look {destination}"), Err(refused))
    }
    fn create(&self, destination: Destination) -> Answer<'_, Created> {
        let name = destination.to_string();
        self.0
            .order(format!("create {name}"), Ok(Created { name, created: true }))
    }
    fn delete(&self, destination: Destination) -> Answer<'_, Deleted> {
        let refused = Refused::new(
            RefusedKind::Conflict,
            "consumers are there",
            destination.to_string(),
            "close them",
        );
        self.0.order(format!("delete {destination}"), Err(refused))
    }
    fn purge(&self, destination: Destination, what: Purge) -> Answer<'_, Purged> {
        let name = destination.to_string();
        let order = match what {
            Purge::Everything => format!("purge {name}"),
            Purge::SetAside => format!("purge {name} of what is set aside"),
        };
        self.0.order(order, Ok(Purged { name, messages: 5 }))
    }
    fn move_messages(&self, request: MoveRequest) -> Answer<'_, MoveStatus> {
        let to = request.to.as_ref().map_or("its origin".into(), ToString::to_string);
        let order = format!(
            "move {} to {to} {:?} {:?}",
            request.from, request.selector, request.limit
        );
        let status = MoveStatus {
            messages: 4,
            ..MoveStatus::default()
        };
        self.0.order(order, Ok(status))
    }
    fn dead_letters(&self, request: DeadLettersRequest) -> Answer<'_, DeadLettersAnswer> {
        let queue = request.queue.map(|queue| queue.to_string());
        let order = format!(
            "dead letters {queue:?} {:?} {} {:?}",
            request.after, request.limit, request.selector
        );
        self.0.order(order, Ok(DeadLettersAnswer::default()))
    }
    fn dead_letter_queue(&self) -> Destination {
        Destination::queue("DEAD").unwrap()
    }
    fn connections(&self, request: ConnectionsRequest) -> Answer<'_, Page<ConnectionStatus>> {
        let order = format!(
            "connections {:?} {} {:?} {}",
            request.after, request.limit, request.client_id, request.waiting
        );
        let page = Page {
            found: vec![ConnectionStatus::default()],
            next: Some("7".into()),
        };
        self.0.order(order, Ok(page))
    }
    fn close_connection(&self, id: u64) -> Answer<'_, Closed> {
        self.0.order(format!("close {id}"), Ok(Closed { id }))
    }
    fn subscriptions(&self, request: SubscriptionsRequest) -> Answer<'_, Page<SubscriptionStatus>> {
        let destination = request.destination.map(|destination| destination.to_string());
        let order = format!(
            "subscriptions {:?} {} {destination:?} {:?} {:?}",
            request.after, request.limit, request.client_id, request.connection
        );
        let page = Page {
            found: vec![],
            next: None,
        };
        self.0.order(order, Ok(page))
    }
    fn delete_subscription(&self, client_id: String, name: String) -> Answer<'_, Deleted> {
        let order = format!("delete {name} of {client_id}");
        self.0.order(order, Ok(Deleted { name, messages: 2 }))
    }
    fn browse(&self, request: BrowseRequest) -> Answer<'_, Vec<BrowsedMessage>> {
        let order = format!(
            "browse {} {} {:?}",
            request.destination, request.limit, request.selector
        );
        self.0.order(order, Ok(vec![BrowsedMessage::default()]))
    }
}

/// A server on a thread of its own, which ends with the test's process.
struct Fixture {
    address: SocketAddr,
    broker: Arc<Painted>,
}

fn start() -> Fixture {
    let named = |number| DestinationStatus {
        name: format!("queue://{number:04}"),
        ..DestinationStatus::default()
    };
    let broker = Arc::new(Painted {
        status: Mutex::new(leading()),
        orders: Mutex::default(),
        destinations: (0..1500).map(named).collect(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let view = Shared(broker.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let serving = async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            holdfast::admin::serve(listener, Rc::new(view)).await;
        };
        tokio::task::LocalSet::new().block_on(&runtime, serving);
    });
    Fixture { address, broker }
}

impl Fixture {
    /// Sends these bytes, and reads until the server closes.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A server that refuses a request may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).to_string()
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let answer = self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{answer:?}"));
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_string())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "", "")
    }

    fn order(&self, path: &str, body: &str) -> (u16, String) {
        self.request("POST", path, "Content-Type: application/json\r\n", body)
    }

    fn orders(&self) -> Vec<String> {
        self.broker.orders.lock().unwrap().clone()
    }
}

#[test]
fn ready_says_503_with_the_reason_unless_the_broker_leads() {
    let fixture = start();
    assert_eq!(fixture.get("/ready"), (200, "ready\n".into()));
    {
        let mut status = fixture.broker.status.lock().unwrap();
        status.ready = false;
        status.role = Role::Recovering;
        status.reason = "reading the journal".into();
    }
    assert_eq!(
        fixture.get("/ready"),
        (503, "not ready (recovering): reading the journal\n".into())
    );
    assert_eq!(fixture.get("/live"), (200, "alive\n".into()));
}

#[test]
fn status_is_json_for_programs_and_text_for_people() {
    let fixture = start();
    let (code, json) = fixture.get("/status");
    assert_eq!(code, 200);
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), leading());
    for (path, headers) in [("/status?format=text", ""), ("/status", "Accept: text/plain\r\n")] {
        let (_, text) = fixture.request("GET", path, headers, "");
        assert!(text.starts_with("state        leading, ready\n"), "{text}");
        assert!(text.contains("clients      2 connections, 1 consumer\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn warnings_stand_first_and_fit_80_columns_with_their_advice() {
    let fixture = start();
    fixture.broker.status.lock().unwrap().warnings = vec![holdfast::admin::Warning {
        what: "something long is the matter ".repeat(5).trim().into(),
        what_to_do: "do something that takes many words ".repeat(5).trim().into(),
    }];
    let (_, text) = fixture.get("/status?format=text");
    assert!(text.starts_with("WARNING  something long"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (warning, facts) = text.split_once("\n\n").unwrap();
    assert_eq!(
        (warning.matches("something").count(), warning.matches("words").count()),
        (10, 5)
    );
    assert!(
        warning.contains("\n         to do: do something") && facts.starts_with("state "),
        "{text}"
    );
}

#[test]
fn metrics_are_prometheus_text_with_escaped_labels() {
    let fixture = start();
    let (code, text) = fixture.get("/metrics");
    assert_eq!(code, 200);
    let expected = "# HELP holdfast_messages_enqueued_total Messages that came in.\n\
                    # TYPE holdfast_messages_enqueued_total counter\n\
                    holdfast_messages_enqueued_total{destination=\"queue://with \\\"quotes\\\"\\\\\"} 4\n";
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("holdfast_role{role=\"leading\"} 1\n") && text.contains("holdfast_role{role=\"standby\"} 0\n"),
        "{text}"
    );
    assert_eq!(text.matches("# TYPE holdfast_role gauge").count(), 1);
    let connections: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("holdfast_connections"))
        .collect();
    assert_eq!(connections, ["holdfast_connections 77"], "one sample for each name");
}

#[test]
fn orders_reach_the_broker_and_its_refusals_reach_the_client() {
    let fixture = start();
    let created = fixture.order("/api/destinations", "{\"name\": \"A.B\"}");
    assert_eq!(created.0, 201, "{created:?}");
    let purged = fixture.order("/api/destinations/purge", "{\"name\": \"/queue/A\"}");
    assert!(purged.0 == 200 && purged.1.contains("\"messages\": 5"), "{purged:?}");
    let (code, refused) = fixture.request("DELETE", "/api/destinations?name=topic%3A%2F%2FT", "", "");
    assert_eq!(code, 409);
    let refused: serde_json::Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["error"]["what"], "consumers are there");
    assert_eq!(refused["error"]["where"], "topic://T");
    assert_eq!(refused["error"]["what_to_do"], "close them");
    assert_eq!(fixture.get("/api/destination?name=none").0, 404);
    assert_eq!(fixture.get("/api/browse?name=Q&limit=7&selector=a%3D1").0, 200);
    let expected = [
        "create queue://A.B",
        "purge queue://A",
        "delete topic://T",
        "look queue://none",
        "browse queue://Q 7 Some(\"a=1\")",
    ];
    assert_eq!(fixture.orders(), expected);
}

#[test]
fn clients_moves_and_dead_letters_are_asked_for_as_the_index_says() {
    let fixture = start();
    let (_, index) = fixture.get("/");
    for path in [
        "/api/connections",
        "/api/subscriptions",
        "/api/dlq",
        "/api/destinations/move",
    ] {
        assert!(index.contains(path), "{index}");
    }
    let (code, page) = fixture.get("/api/connections?after=3&limit=5&client_id=C&waiting=true");
    assert!(code == 200 && page.contains("\"next\": \"7\""), "{page}");
    assert_eq!(fixture.order("/api/connections/close", "{\"id\": 9}").0, 200);
    assert_eq!(
        fixture.get("/api/subscriptions?destination=/topic/T&connection=4").0,
        200
    );
    let deleted = fixture.request("DELETE", "/api/subscriptions?client_id=C&name=D", "", "");
    assert!(deleted.0 == 200 && deleted.1.contains("\"messages\": 2"), "{deleted:?}");
    let moved = fixture.order(
        "/api/destinations/move",
        "{\"name\": \"A\", \"to\": \"B\", \"selector\": \"a = 1\", \"limit\": 3}",
    );
    assert!(moved.0 == 200 && moved.1.contains("\"messages\": 4"), "{moved:?}");
    assert_eq!(fixture.order("/api/dlq/retry", "{}").0, 200);
    assert_eq!(fixture.get("/api/dlq?after=4%3A17&limit=5000").0, 200);
    assert_eq!(
        fixture
            .order("/api/destinations/purge", "{\"name\": \"A\", \"set_aside\": true}")
            .0,
        200
    );
    let expected = [
        "connections Some(3) 5 Some(\"C\") true",
        "close 9",
        "subscriptions None 1000 Some(\"topic://T\") None Some(4)",
        "delete D of C",
        "move queue://A to queue://B Some(\"a = 1\") Some(3)",
        "move queue://DEAD to its origin None None",
        "dead letters None Some(\"4:17\") 1000 None",
        "purge queue://A of what is set aside",
    ];
    assert_eq!(fixture.orders(), expected);
}

#[test]
fn a_long_name_is_cut_in_a_refusal() {
    let fixture = start();
    let (code, body) = fixture.get(&format!("/api/destination?name=queue://{}", "x".repeat(5000)));
    assert_eq!(code, 400, "{body}");
    assert!(body.len() < 600, "{body}");
}

#[test]
fn wrong_requests_are_refused_before_they_reach_the_broker() {
    let fixture = start();
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    for ((code, body), expected) in [
        (fixture.get("/api/nothing"), 404),
        (fixture.get("/api/destinations/purge"), 405),
        (fixture.request("PUT", "/api/destinations", "", ""), 405),
        (fixture.get("/api/destination"), 400),
        (fixture.get("/api/destination?name=%zz"), 400),
        (fixture.get("/api/destination?name=A.%3E"), 400),
        (fixture.get("/api/destinations?limit=many"), 400),
        (fixture.get("/api/browse?name=topic://T"), 400),
        (fixture.order("/api/destinations", "not json"), 400),
        (
            fixture.order("/api/destinations", "{\"name\": \"A\", \"colour\": 1}"),
            400,
        ),
        (fixture.order("/api/destinations", "{\"name\": \"\"}"), 400),
        (fixture.order("/api/destinations/purge", "{\"name\": \"A.>\"}"), 400),
        (fixture.order("/api/destinations", &long), 413),
        (fixture.get("/api/connections?after=x"), 400),
        (fixture.get("/api/subscriptions?connection=-1"), 400),
        (fixture.request("DELETE", "/api/subscriptions?client_id=C", "", ""), 400),
        (fixture.request("PUT", "/api/subscriptions", "", ""), 405),
        (fixture.get("/api/connections/close"), 405),
        (fixture.order("/api/connections/close", "{\"id\": \"x\"}"), 400),
        (fixture.order("/api/destinations/move", "{\"name\": \"A\"}"), 400),
        (
            fixture.order("/api/destinations/move", "{\"name\": \"A\", \"to\": \"B.>\"}"),
            400,
        ),
        (fixture.order("/api/dlq/retry", "{\"id\": 1}"), 400),
        (fixture.order("/api/dlq", "{}"), 405),
        (
            fixture.request(
                "POST",
                "/api/destinations",
                "Content-Type: text/plain\r\n",
                "{\"name\": \"A\"}",
            ),
            400,
        ),
    ] {
        assert_eq!(code, expected, "{body}");
        let refused: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(!refused["error"]["what_to_do"].as_str().unwrap().is_empty(), "{body}");
    }
    assert_eq!(fixture.orders(), Vec::<String>::new());
}

#[test]
fn a_web_page_from_elsewhere_can_give_no_orders() {
    let fixture = start();
    let json = "Content-Type: application/json\r\n";
    let from_page = fixture.request(
        "POST",
        "/api/destinations/purge",
        &format!("{json}Origin: http://evil.example\r\n"),
        "{\"name\": \"A\"}",
    );
    assert_eq!(from_page.0, 403, "{from_page:?}");
    let rebound = fixture.raw("GET /api/destinations HTTP/1.1\r\nHost: evil.example:8161\r\nConnection: close\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let ours = fixture.raw("GET /live HTTP/1.1\r\nHost: [::1]:8161\r\nConnection: close\r\n\r\n");
    assert!(ours.starts_with("HTTP/1.1 200"), "{ours}");
    assert_eq!(fixture.orders(), Vec::<String>::new());
}

#[test]
fn a_long_list_of_destinations_comes_in_pages() {
    let fixture = start();
    let mut names = Vec::new();
    let mut path = "/api/destinations".to_string();
    loop {
        let (_, body) = fixture.get(&path);
        let page: holdfast::admin::DestinationsAnswer = serde_json::from_str(&body).unwrap();
        names.extend(page.destinations.into_iter().map(|found| found.name));
        let Some(next) = page.next else { break };
        path = format!("/api/destinations?after={next}");
    }
    assert_eq!(names.len(), 1500);
    assert!(names.is_sorted());
}

#[test]
fn rubbish_and_endless_heads_end_the_connection() {
    let fixture = start();
    let endless = format!(
        "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    for rubbish in [
        "\0\0\0\0\r\n\r\n",
        "CONNECT\naccept-version:1.2\n\n\0\r\n\r\n",
        &endless,
    ] {
        let answer = fixture.raw(rubbish);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(fixture.get("/live").0, 200);
}

#[test]
fn idle_connections_keep_no_probe_out() {
    let fixture = start();
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(fixture.address).unwrap()).collect();
    for _ in 0..10 {
        assert_eq!(fixture.get("/live").0, 200);
    }
    drop(idle);
}
