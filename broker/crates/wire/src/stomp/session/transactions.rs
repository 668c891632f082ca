//! BEGIN, COMMIT, ABORT.

use message::{Command, TransactionId};

use super::super::Frame;
use super::super::problem::Problem;
use super::Session;
use super::requests::Then;

/// An open transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) number: u64,
    /// Why it cannot be committed: a SEND in it was refused.
    pub(super) doomed: Option<String>,
    /// The consumers of which deliveries were acknowledged in it.
    pub(super) consumers: Vec<u32>,
}

impl Session {
    /// The open transaction that the frame names, if it names one.
    pub(super) fn transaction_of(&self, frame: &Frame) -> Result<Option<TransactionId>, Problem> {
        let Some(name) = frame.header("transaction") else {
            return Ok(None);
        };
        match self.transactions.get(name) {
            Some(transaction) => Ok(Some(self.transaction_id(transaction.number))),
            None => Err(Problem::refused(format!("Invalid transaction id: {name}"))),
        }
    }

    fn transaction_id(&self, number: u64) -> TransactionId {
        TransactionId {
            connection: self.settings.connection,
            number,
        }
    }

    pub(super) fn handle_begin(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let Some(name) = frame.header("transaction") else {
            return Err(Problem::broken("Must specify the transaction you are beginning"));
        };
        if self.transactions.contains_key(name) {
            return Err(Problem::refused(format!("The transaction was already started: {name}")));
        }
        let limit = self.settings.limits.transactions_max;
        if self.transactions.len() >= limit as usize {
            return Err(Problem::refused(format!(
                "Too many open transactions: {name} would be one more than {limit}"
            ))
            .because("Commit or abort some first (transactions_per_connection_max). The connection stays open."));
        }
        self.transactions_made += 1;
        let number = self.transactions_made;
        self.transactions.insert(
            name.into(),
            Transaction {
                number,
                doomed: None,
                consumers: Vec::new(),
            },
        );
        let command = Command::Begin {
            transaction: self.transaction_id(number),
        };
        match receipt {
            Some(_) => self.request(command, receipt, Then::Nothing),
            None => self.command(command),
        }
        Ok(())
    }

    pub(super) fn handle_commit(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let (name, transaction) = self.take_transaction(frame)?;
        if let Some(reason) = &transaction.doomed {
            let problem = Problem::refused(format!("The transaction was rolled back: {name}"))
                .because(format!("A SEND in it was refused ({reason}), and a transaction is carried out as a whole or not at all. The connection stays open."));
            self.roll_back(transaction, None);
            return Err(problem);
        }
        let mut acknowledged = Vec::new();
        for consumer in transaction.consumers {
            if let Some(subscription) = self.subscriptions.get_mut(&consumer) {
                acknowledged.push((consumer, subscription.take_transaction(transaction.number)));
            }
        }
        let command = Command::Commit {
            transaction: self.transaction_id(transaction.number),
        };
        self.request(command, receipt, Then::Commit { acknowledged });
        Ok(())
    }

    pub(super) fn handle_abort(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<(), Problem> {
        let (_, transaction) = self.take_transaction(frame)?;
        self.roll_back(transaction, receipt);
        Ok(())
    }

    /// ActiveMQ has one text for COMMIT and ABORT without the header.
    fn take_transaction(&mut self, frame: &Frame) -> Result<(Box<str>, Transaction), Problem> {
        let Some(name) = frame.header("transaction") else {
            return Err(Problem::broken("Must specify the transaction you are committing"));
        };
        self.transactions
            .remove_entry(name)
            .ok_or_else(|| Problem::refused(format!("Invalid transaction id: {name}")))
    }

    fn roll_back(&mut self, transaction: Transaction, receipt: Option<Box<str>>) {
        for consumer in transaction.consumers {
            if let Some(subscription) = self.subscriptions.get_mut(&consumer) {
                subscription.reopen_transaction(transaction.number);
            }
        }
        let command = Command::Rollback {
            transaction: self.transaction_id(transaction.number),
        };
        match receipt {
            Some(_) => self.request(command, receipt, Then::Nothing),
            None => self.command(command),
        }
    }
}
