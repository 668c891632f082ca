//! The frames of a connected client: which is which, SEND, SUBSCRIBE, UNSUBSCRIBE, ACK, NACK.

use std::fmt::Write;
use std::sync::Arc;

use message::{
    Command, ConsumerId, DeliveryTag, Destination, Disposition, LastDelivered, Send, Subscribe, TransactionId,
};
use platform::Now;

use super::super::destinations::parse_all;
use super::super::problem::Problem;
use super::super::sent::{Sent, message_of};
use super::super::subscription::{AckMode, Subscription, count};
use super::super::{Frame, Version};
use super::output::Outgoing;
use super::requests::Then;
use super::{Phase, Session, not_connected};

/// Prefetch of a queue consumer that asks for none (ActiveMQPrefetchPolicy).
const QUEUE_PREFETCH: u32 = 1000;
/// Prefetch of a topic consumer that asks for none.
const TOPIC_PREFETCH: u32 = 32_767;
/// Prefetch of a durable subscriber that asks for none.
const DURABLE_PREFETCH: u32 = 100;
/// Prefetch of a browser that asks for none.
const BROWSER_PREFETCH: u32 = 500;

/// What makes a selector compare numbers with STOMP's headers, which are all text.
const SELECTOR_PREFIX: &str = "convert_string_expressions:";

/// The frames that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Connect,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    KeepAlive,
    Unknown,
}

impl Action {
    fn of(command: &str) -> Action {
        match command {
            "CONNECT" | "STOMP" => Action::Connect,
            "SEND" => Action::Send,
            "ACK" => Action::Ack,
            "NACK" => Action::Nack,
            "BEGIN" => Action::Begin,
            "COMMIT" => Action::Commit,
            "ABORT" => Action::Abort,
            "DISCONNECT" => Action::Disconnect,
            "KEEPALIVE" => Action::KeepAlive,
            // ActiveMQ has always taken abbreviations of these two.
            command if command.starts_with("SUB") => Action::Subscribe,
            command if command.starts_with("UNSUB") => Action::Unsubscribe,
            _ => Action::Unknown,
        }
    }
}

impl Session {
    pub(super) fn handle_frame(&mut self, now: Now, frame: Frame) {
        let action = Action::of(frame.command());
        if matches!(self.phase, Phase::Opening) {
            match action {
                Action::Connect => self.handle_connect(now, &frame),
                Action::Send
                | Action::Subscribe
                | Action::Unsubscribe
                | Action::Ack
                | Action::Nack
                | Action::Begin
                | Action::Commit
                | Action::Abort
                | Action::Disconnect
                | Action::KeepAlive
                | Action::Unknown => self.fail(now, not_connected(), None),
            }
            return;
        }
        let receipt: Option<Box<str>> = frame.header("receipt").map(Into::into);
        let given = receipt.clone();
        let result = match action {
            Action::Send => self.handle_send(now, frame, receipt),
            Action::Subscribe => self.handle_subscribe(&frame, receipt),
            Action::Unsubscribe => self.handle_unsubscribe(&frame, receipt),
            Action::Ack => self.handle_ack(&frame, receipt),
            Action::Nack => self.handle_nack(&frame, receipt),
            Action::Begin => self.handle_begin(&frame, receipt),
            Action::Commit => self.handle_commit(&frame, receipt),
            Action::Abort => self.handle_abort(&frame, receipt),
            Action::Disconnect => {
                self.handle_disconnect(now, receipt);
                Ok(())
            }
            Action::KeepAlive => {
                if let Some(receipt) = receipt {
                    self.output.push(Outgoing::Receipt(receipt));
                }
                Ok(())
            }
            Action::Connect => Err(Problem::broken("Already connected.")),
            Action::Unknown => Err(Problem::broken(format!("Unknown STOMP action: {}", frame.command()))),
        };
        if let Err(problem) = result {
            self.fail(now, problem, given);
        }
    }

    fn handle_send(&mut self, now: Now, frame: Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let transaction = self.transaction_of(&frame)?;
        let name: Option<Box<str>> = transaction.and_then(|_| frame.header("transaction")).map(Into::into);
        let sent = self.send(now, frame, transaction, receipt);
        if let Err(problem) = &sent
            && let Some(name) = name
            && let Some(transaction) = self.transactions.get_mut(&name)
        {
            transaction.doomed.get_or_insert_with(|| problem.message.clone());
        }
        sent
    }

    fn send(
        &mut self,
        now: Now,
        frame: Frame,
        transaction: Option<TransactionId>,
        receipt: Option<Box<str>>,
    ) -> Result<(), Problem> {
        let Some(destination) = frame.header("destination") else {
            return Err(Problem::broken("SEND received without a Destination specified!"));
        };
        let destinations = parse_all(destination, &mut self.temporaries)?;
        if let Some(pattern) = destinations.iter().find(|destination| destination.is_pattern()) {
            return Err(Problem::refused(format!("Illegal destination name: [{destination}] -- {pattern} has wildcards"))
                .because("Wildcards are for subscriptions; a message needs the name of one destination. The connection stays open."));
        }
        self.messages_made += 1;
        let mut id = String::with_capacity(self.name.len() + 12);
        write!(id, "{}:{}", self.name, self.messages_made).expect("a String takes everything");
        let Sent {
            message,
            duplicate_id,
            asks_for_schedule,
        } = message_of(frame, &id, destinations[0].clone(), now.wall.0, &mut self.temporaries)?;
        self.unscheduled += u64::from(asks_for_schedule);
        let is_durable = message.persistent && transaction.is_none();
        let command = Command::Send(Box::new(Send {
            message: Arc::new(message),
            destinations,
            transaction,
            duplicate_id,
        }));
        if receipt.is_some() || is_durable {
            self.request(command, receipt, Then::Nothing);
        } else {
            self.command(command);
        }
        Ok(())
    }

    fn handle_subscribe(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let id = frame.header("id");
        if id.is_none() && self.version > Version::V1_0 {
            return Err(Problem::broken("SUBSCRIBE received without a subscription id!"));
        }
        let Some(destination) = frame
            .header("destination")
            .filter(|destination| !destination.is_empty())
        else {
            return Err(Problem::broken("Invalid 'null' Destination."));
        };
        if let Some(id) = id
            && self.subscriptions_by_id.contains_key(id)
        {
            return Err(
                Problem::refused(format!("There is already a subscription with the id: {id}"))
                    .because("Subscription ids are unique within a connection. The connection stays open."),
            );
        }
        let limit = self.settings.limits.subscriptions_max;
        if self.subscriptions.len() >= limit as usize {
            return Err(Problem::refused(format!(
                "Too many subscriptions: this one would be one more than {limit}"
            ))
            .because("End some first (subscriptions_per_connection_max). The connection stays open."));
        }
        let destinations = parse_all(destination, &mut self.temporaries)?;
        let browser = frame.header("browser") == Some("true");
        if browser && self.version == Version::V1_0 {
            return Err(Problem::refused(
                "Queue Browser feature only valid for Stomp v1.1+ clients!",
            ));
        }
        let durable = durable_name(frame);
        if durable.is_some() {
            if destinations.iter().any(|destination| destination.kind.is_queue()) {
                return Err(Problem::refused(
                    "Invalid Subscription: cannot durably subscribe to a Queue destination!",
                ));
            }
            if self.client_id.is_none() {
                return Err(no_client_id());
            }
        }
        let default = match (browser, destinations[0].kind.is_queue(), durable.is_some()) {
            (true, _, _) => BROWSER_PREFETCH,
            (false, true, _) => QUEUE_PREFETCH,
            (false, false, true) => DURABLE_PREFETCH,
            (false, false, false) => TOPIC_PREFETCH,
        };
        let prefetch = cut(frame, "activemq.prefetchSize", default)?.min(self.settings.limits.prefetch_max);
        let priority: i8 = extension(frame, "activemq.priority", 0)?;
        let pending_max: i32 = extension(frame, "activemq.maximumPendingMessageLimit", 0)?;
        let consumer = ConsumerId {
            connection: self.settings.connection,
            number: self.consumers_made + 1,
        };
        let subscribe = Subscribe {
            consumer,
            destinations: destinations.clone(),
            selector: frame
                .header("selector")
                .map(|text| format!("{SELECTOR_PREFIX}{text}").into()),
            prefetch,
            browser,
            no_local: is_set(frame, "activemq.noLocal"),
            exclusive: is_set(frame, "activemq.exclusive"),
            priority: priority.max(0),
            durable: durable.clone(),
            pending_max: u32::try_from(pending_max).ok().filter(|limit| *limit > 0),
        };
        self.consumers_made += 1;
        let subscription = Subscription {
            consumer,
            id: id.map(Into::into),
            destinations,
            ack: match frame.header("ack") {
                Some("client") => AckMode::Client,
                Some("client-individual") => AckMode::ClientIndividual,
                // As ActiveMQ: what it does not know is auto.
                Some(_) | None => AckMode::Auto,
            },
            browser,
            pulls: prefetch == 0,
            durable,
            transformation: frame.header("transformation").map(Into::into),
            held: Default::default(),
            last_delivered: LastDelivered::Nothing,
        };
        if let Some(id) = &subscription.id {
            self.subscriptions_by_id.insert(id.clone(), consumer.number);
        }
        self.subscriptions.insert(consumer.number, subscription);
        self.request(
            Command::Subscribe(Box::new(subscribe)),
            receipt,
            Then::Subscribe {
                consumer: consumer.number,
            },
        );
        Ok(())
    }

    fn handle_unsubscribe(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let id = frame.header("id");
        if id.is_none() && self.version > Version::V1_0 {
            return Err(Problem::broken("UNSUBSCRIBE received without a subscription id!"));
        }
        let destinations = match frame.header("destination") {
            Some(text) => Some(parse_all(text, &mut self.temporaries)?),
            None => None,
        };
        if id.is_none() && destinations.is_none() {
            return Err(Problem::broken(
                "Must specify the subscriptionId or the destination you are unsubscribing from",
            ));
        }
        if let Some(name) = durable_name(frame) {
            return self.remove_durable(id, name, receipt);
        }
        let consumer = match id {
            Some(id) => self.subscriptions_by_id.get(id).copied(),
            None => self.subscription_to(destinations.as_deref().unwrap_or_default()),
        };
        let Some(subscription) = consumer.and_then(|consumer| self.remove_subscription(consumer)) else {
            return Err(Problem::refused("No subscription matched."));
        };
        self.request(unsubscribe(&subscription), receipt, Then::Nothing);
        Ok(())
    }

    /// In 1.0 the subscription's name is taken for its owner's as well, as in ActiveMQ.
    fn remove_durable(&mut self, id: Option<&str>, name: Arc<str>, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let client_id = match (self.version, &self.client_id) {
            (Version::V1_0, _) => name.clone(),
            (Version::V1_1 | Version::V1_2, Some(client_id)) => client_id.clone(),
            (Version::V1_1 | Version::V1_2, None) => return Err(no_client_id()),
        };
        // Its subscriber of this very connection ends first; ActiveMQ would refuse.
        let active = id
            .and_then(|id| self.subscriptions_by_id.get(id).copied())
            .filter(|consumer| {
                self.subscriptions
                    .get(consumer)
                    .is_some_and(|subscription| subscription.durable.as_ref() == Some(&name))
            });
        if let Some(subscription) = active.and_then(|consumer| self.remove_subscription(consumer)) {
            self.command(unsubscribe(&subscription));
        }
        self.request(Command::RemoveDurable { client_id, name }, receipt, Then::Nothing);
        Ok(())
    }

    fn subscription_to(&self, destinations: &[Destination]) -> Option<u32> {
        self.subscriptions
            .values()
            .find(|subscription| subscription.destinations == destinations)
            .map(|subscription| subscription.consumer.number)
    }

    fn handle_ack(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let required = |name, text: &str| match frame.header(name) {
            Some(value) => Ok(value),
            None => Err(Problem::broken(text)),
        };
        let (named, delivery) = match self.version {
            Version::V1_0 => {
                let message_id = required("message-id", "ACK received without a message-id to acknowledge!")?;
                (message_id, self.delivery_of(frame.header("subscription"), message_id))
            }
            Version::V1_1 => {
                let message_id = required("message-id", "ACK received without a message-id to acknowledge!")?;
                let subscription = required(
                    "subscription",
                    "ACK received without a subscription id for acknowledge!",
                )?;
                (message_id, self.delivery_of(Some(subscription), message_id))
            }
            Version::V1_2 => {
                let id = required("id", "ACK received without a ack id for acknowledge!")?;
                (id, self.output.parse_ack_id(id))
            }
        };
        let transaction = self.transaction_of(frame)?;
        if self.settle(frame, delivery, Disposition::Consumed, transaction, receipt) {
            Ok(())
        } else {
            Err(Problem::refused(format!(
                "Unexpected ACK received for message-id [{named}]"
            )))
        }
    }

    fn handle_nack(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let required = |name, text: &str| match frame.header(name) {
            Some(value) => Ok(value),
            None => Err(Problem::broken(text)),
        };
        let (named, delivery) = match self.version {
            Version::V1_0 => return Err(Problem::broken("NACK received but connection is in v1.0 mode.")),
            Version::V1_1 => {
                let subscription = required(
                    "subscription",
                    "NACK received without a subscription id for acknowledge!",
                )?;
                let message_id = required("message-id", "NACK received without a message-id to acknowledge!")?;
                (message_id, self.delivery_of(Some(subscription), message_id))
            }
            Version::V1_2 => {
                let id = required("id", "NACK received without an ack header to acknowledge!")?;
                (id, self.output.parse_ack_id(id))
            }
        };
        let transaction = self.transaction_of(frame)?;
        let is_browser = |consumer| {
            self.subscriptions
                .get(&consumer)
                .is_some_and(|subscription| subscription.browser)
        };
        if delivery.is_some_and(|(consumer, _)| is_browser(consumer)) {
            return Err(Problem::refused(
                "Cannot Nack a message on a Queue Browser Subscription.",
            ));
        }
        if transaction.is_some() {
            // Refused before the session takes the delivery for a part of the transaction: it stays open.
            return Err(Problem::refused(
                "Poison ack cannot be transacted: send the NACK outside of the transaction",
            ));
        }
        if self.settle(frame, delivery, Disposition::Rejected, None, receipt) {
            Ok(())
        } else {
            Err(Problem::refused(format!(
                "Unexpected NACK received for message-id [{named}]"
            )))
        }
    }

    /// The open delivery of a message; without a subscription's id the first one of any subscription (1.0).
    fn delivery_of(&self, subscription: Option<&str>, message_id: &str) -> Option<(u32, DeliveryTag)> {
        let delivery =
            |subscription: &Subscription| Some((subscription.consumer.number, subscription.tag_of(message_id)?));
        match subscription {
            Some(id) => delivery(self.subscriptions.get(self.subscriptions_by_id.get(id)?)?),
            None => self.subscriptions.values().find_map(delivery),
        }
    }

    /// Issues what settles a delivery; whether there was anything to settle.
    fn settle(
        &mut self,
        frame: &Frame,
        delivery: Option<(u32, DeliveryTag)>,
        outcome: Disposition,
        transaction: Option<TransactionId>,
        receipt: Option<Box<str>>,
    ) -> bool {
        let Some((number, tag)) = delivery else { return false };
        let Some(subscription) = self.subscriptions.get_mut(&number) else {
            return false;
        };
        let is_cumulative = outcome == Disposition::Consumed && subscription.ack == AckMode::Client;
        let Some(runs) = subscription.settle(tag, is_cumulative, outcome, transaction) else {
            return false;
        };
        let (consumer, pulls) = (subscription.consumer, subscription.pulls);
        if transaction.is_some()
            && let Some(transaction) = frame
                .header("transaction")
                .and_then(|name| self.transactions.get_mut(name))
            && !transaction.consumers.contains(&number)
        {
            transaction.consumers.push(number);
        }
        let total = count(&runs);
        let mut receipt = receipt;
        for (at, run) in runs.iter().enumerate() {
            let is_last = at + 1 == runs.len();
            let receipt = if is_last { receipt.take() } else { None };
            if receipt.is_some() || transaction.is_none() {
                self.request(Command::Acknowledge(*run), receipt, Then::Nothing);
            } else {
                self.command(Command::Acknowledge(*run));
            }
        }
        if pulls {
            self.command(Command::Pull { consumer, count: total });
        }
        true
    }
}

fn unsubscribe(subscription: &Subscription) -> Command {
    Command::Unsubscribe {
        consumer: subscription.consumer,
        last_delivered: subscription.last_delivered,
    }
}

/// The name of the durable subscription; also under the name with the typo that ActiveMQ once had.
fn durable_name(frame: &Frame) -> Option<Arc<str>> {
    frame
        .header("activemq.subscriptionName")
        .or_else(|| frame.header("activemq.subcriptionName"))
        .map(Into::into)
}

fn no_client_id() -> Problem {
    Problem::refused("A durable subscription needs a client-id")
        .because("Give CONNECT a client-id header: it names the owner of the subscription. The connection stays open.")
}

fn is_set(frame: &Frame, name: &str) -> bool {
    frame
        .header(name)
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// A number of which there may be more than there can be.
fn cut(frame: &Frame, name: &str, default: u32) -> Result<u32, Problem> {
    let digits = frame
        .header(name)
        .map(|value| value.trim().as_bytes())
        .unwrap_or_default();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    extension(frame, name, default).or_else(|problem| if is_number { Ok(u32::MAX) } else { Err(problem) })
}

fn extension<T: std::str::FromStr>(frame: &Frame, name: &str, default: T) -> Result<T, Problem> {
    match frame.header(name) {
        None => Ok(default),
        Some(value) => value.trim().parse().map_err(|_| {
            Problem::refused(format!("Invalid {name} header:{value}")).because(format!(
                "{name} has to be a number that fits. The connection stays open."
            ))
        }),
    }
}
