//! Flow control: sends that wait for space, and what waits behind them.
//!
//! A send or commit that finds the store or the memory full waits, unless the settings say that it fails. What its connection asks for behind it waits too, in order; only acknowledgements outside of
//! transactions, and pulls, overtake: they may be what makes room. Invariants: a connection waits exactly as long as its backlog is not empty, and stands in the line of what its first command
//! lacks; nothing of a waiting command has been done.

use std::collections::VecDeque;

use message::{Command, ConnectionId, Destination, Refusal, RefusalKind, RequestId, Send, Sequence};
use mutant::Mutant;

use crate::engine::Engine;
use crate::step::Step;
use crate::time::EngineTime;

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Space for persistent messages.
    Store,
    /// Memory for messages that are not persistent.
    Memory,
}

/// Who waits, in order.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    store: VecDeque<ConnectionId>,
    memory: VecDeque<ConnectionId>,
    /// A line may move on, and nobody has looked since.
    pub(crate) may_move: bool,
    /// Who found too little memory, and how much was taken then: it is not looked at again before less is taken.
    memory_lacked: Option<(ConnectionId, u64)>,
    /// Memory of what waits; bytes.
    pub(crate) bytes: usize,
}

impl Lines {
    fn of(&mut self, scarce: Scarce) -> &mut VecDeque<ConnectionId> {
        match scarce {
            Scarce::Store => &mut self.store,
            Scarce::Memory => &mut self.memory,
        }
    }

    fn is_empty(&self) -> bool {
        self.store.is_empty() && self.memory.is_empty()
    }

    /// Something may have changed for those who wait.
    pub(crate) fn look_again(&mut self) {
        self.may_move = !self.is_empty();
    }
}

/// What a connection asked for and has not got.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    commands: VecDeque<(Option<RequestId>, Command)>,
    pub(crate) bytes: usize,
    /// In which line the connection stands, and since when its first command has been the first.
    waits: Option<(Scarce, EngineTime)>,
}

impl Backlog {
    /// Commands that wait, and their memory in bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.commands.len(), self.bytes)
    }

    /// What the first of them lacks.
    pub(crate) fn lacks(&self) -> Option<Scarce> {
        self.waits.map(|(scarce, _)| scarce)
    }

    fn push(&mut self, request: Option<RequestId>, command: Command) {
        self.bytes += bytes_of(&command);
        self.commands.push_back((request, command));
    }

    fn pop(&mut self) -> Option<(Option<RequestId>, Command)> {
        let (request, command) = self.commands.pop_front()?;
        self.bytes -= bytes_of(&command);
        Some((request, command))
    }

    fn put_back(&mut self, request: Option<RequestId>, command: Command) {
        self.bytes += bytes_of(&command);
        self.commands.push_front((request, command));
    }

    /// What waits behind the first command. That one does not count: however large it is, what comes behind it may be the acknowledgement that makes room for it.
    fn bytes_behind(&self) -> usize {
        let first = self.commands.front();
        self.bytes - first.map_or(0, |(_, command)| bytes_of(command))
    }
}

/// Memory that a command takes beside what it names, about.
const COMMAND_BYTES: usize = 128;

fn bytes_of(command: &Command) -> usize {
    let named = match command {
        Command::Send(send) => send.bytes_held(),
        Command::Subscribe(subscribe) => subscribe.bytes_held(),
        Command::CreateTemporary { destination } | Command::DeleteTemporary { destination } => destination.name.len(),
        Command::Connect { .. }
        | Command::Acknowledge(_)
        | Command::Unsubscribe { .. }
        | Command::RemoveDurable { .. }
        | Command::Begin { .. }
        | Command::Commit { .. }
        | Command::Rollback { .. }
        | Command::Pull { .. }
        | Command::Barrier => 0,
    };
    COMMAND_BYTES + named
}

/// How many connections wait, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// For space in the store.
    pub store: usize,
    /// For memory.
    pub memory: usize,
}

/// Why a command cannot be carried out at this moment.
struct Shortage {
    scarce: Scarce,
    /// What the client is told if it is not to wait.
    refusal: Refusal,
    /// It would not fit into an empty broker either.
    is_final: bool,
}

impl Engine {
    /// Connections that wait for space, and for which.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            store: self.lines.store.len(),
            memory: self.lines.memory.len(),
        }
    }

    /// Whether as much of a connection waits as is held for it: nothing more is to be read from it.
    pub fn is_backed_up(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|connection| connection.backlog.bytes_behind() >= self.settings.waiting_bytes_max)
    }

    /// Memory of a connection's commands that wait for space, without the first of them; bytes.
    pub fn bytes_behind_waiting(&self, connection: ConnectionId) -> usize {
        self.connections
            .get(&connection)
            .map_or(0, |connection| connection.backlog.bytes_behind())
    }

    /// Memory of everything that waits for space, of all connections; bytes.
    pub fn bytes_waiting(&self) -> usize {
        self.lines.bytes
    }

    /// Carries a command out, or lets it wait.
    pub(crate) fn admit(
        &mut self,
        step: &mut Step<'_>,
        id: ConnectionId,
        request: Option<RequestId>,
        command: Command,
    ) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let waits = connection.backlog.waits.is_some();
        if waits && self.overtakes(&command) {
            return self.perform(step, id, request, command);
        }
        let shortage = if waits {
            None
        } else {
            self.shortage_for(step, id, &command)
        };
        match shortage {
            Some(shortage) if shortage.is_final || self.settings.send_fail_if_no_space => {
                self.fail(step, id, request, command, shortage.refusal);
            }
            Some(shortage) => {
                self.hold(id, request, command);
                self.stand_in_line(id, shortage.scarce);
            }
            None if waits => self.hold(id, request, command),
            None => self.perform(step, id, request, command),
        }
    }

    /// Acknowledgements and pulls of a consumer that exists, outside of transactions. Not those of deliveries that are part of an open one: the COMMIT or ABORT that ends it waits, and what an acknowledgement
    /// behind it means is known only then.
    fn overtakes(&self, command: &Command) -> bool {
        if Mutant::AckWaitsBehindSend.is_at_work() {
            return false;
        }
        match command {
            Command::Acknowledge(acknowledge) => {
                let consumer = self.consumers.get(&acknowledge.consumer);
                acknowledge.transaction.is_none()
                    && consumer.is_some_and(|consumer| !consumer.is_enlisted(acknowledge.first, acknowledge.last))
            }
            Command::Pull { consumer, .. } => self.consumers.contains_key(consumer),
            Command::Connect { .. }
            | Command::Send(_)
            | Command::Subscribe(_)
            | Command::Unsubscribe { .. }
            | Command::RemoveDurable { .. }
            | Command::Begin { .. }
            | Command::Commit { .. }
            | Command::Rollback { .. }
            | Command::CreateTemporary { .. }
            | Command::DeleteTemporary { .. }
            | Command::Barrier => false,
        }
    }

    fn hold(&mut self, id: ConnectionId, request: Option<RequestId>, command: Command) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.lines.bytes += bytes_of(&command);
            connection.backlog.push(request, command);
        }
    }

    fn stand_in_line(&mut self, id: ConnectionId, scarce: Scarce) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.backlog.waits = Some((scarce, self.now));
            self.lines.of(scarce).push_back(id);
            self.lines.memory_lacked.take_if(|(lacked, _)| *lacked == id);
        }
    }

    /// Lets go on whoever waits and fits now, first come, first served; whether anybody did.
    pub(crate) fn resume(&mut self, step: &mut Step<'_>) -> bool {
        self.lines.may_move = false;
        [Scarce::Store, Scarce::Memory]
            .into_iter()
            .any(|scarce| match self.lines.of(scarce).front().copied() {
                Some(id) if self.may_fit(id, scarce) => self.resume_first(step, id, scarce),
                Some(_) | None => false,
            })
    }

    /// A quick look, before the commands are looked at.
    fn may_fit(&self, id: ConnectionId, scarce: Scarce) -> bool {
        match scarce {
            Scarce::Store if Mutant::WaitingSendForgotten.is_at_work() => false,
            Scarce::Store => self.store_full.is_none(),
            Scarce::Memory => match self.lines.memory_lacked {
                Some((lacked, taken)) => {
                    lacked != id || self.volatile_bytes < taken || !self.connections.contains_key(&id)
                }
                None => true,
            },
        }
    }

    /// Carries out what waits first in a line, or takes out of it who does not wait any more; `false` if it still does not fit.
    fn resume_first(&mut self, step: &mut Step<'_>, id: ConnectionId, scarce: Scarce) -> bool {
        self.lines.memory_lacked = None;
        let Some(connection) = self.connections.get_mut(&id) else {
            self.lines.of(scarce).pop_front();
            return true;
        };
        let Some((request, command)) = connection.backlog.pop() else {
            connection.backlog.waits = None;
            self.lines.of(scarce).pop_front();
            return true;
        };
        self.lines.bytes -= bytes_of(&command);
        let Some(shortage) = self.shortage_for(step, id, &command) else {
            step.spend(1);
            if Mutant::WaitingSendLost.is_at_work() && matches!(command, Command::Send(_)) {
                self.effects.done(id, request, Sequence::NONE);
                return true;
            }
            self.perform(step, id, request, command);
            // What is first now begins to wait.
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.backlog.waits = Some((scarce, self.now));
            }
            return true;
        };
        if shortage.is_final {
            // It stood behind another when it came, so nobody has looked at it before.
            step.spend(1);
            self.fail(step, id, request, command, shortage.refusal);
            return true;
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return true;
        };
        self.lines.bytes += bytes_of(&command);
        connection.backlog.put_back(request, command);
        if shortage.scarce == scarce {
            self.lines.memory_lacked = Some((id, self.volatile_bytes));
            return false;
        }
        self.lines.of(scarce).pop_front();
        self.stand_in_line(id, shortage.scarce);
        true
    }

    /// Refuses what has waited for as long as the settings allow.
    pub(crate) fn give_up(&mut self, step: &mut Step<'_>) {
        for scarce in [Scarce::Store, Scarce::Memory] {
            while let Some(id) = self.lines.of(scarce).front().copied()
                && !step.is_over()
                && self.gives_up_at(id).is_some_and(|at| at <= self.now)
            {
                self.lines.of(scarce).pop_front();
                let Some(connection) = self.connections.get_mut(&id) else {
                    continue;
                };
                let Some((request, command)) = connection.backlog.pop() else {
                    connection.backlog.waits = None;
                    continue;
                };
                self.lines.bytes -= bytes_of(&command);
                step.spend(1);
                match self.shortage_for(step, id, &command) {
                    Some(shortage) => self.fail(step, id, request, command, shortage.refusal),
                    None => self.perform(step, id, request, command),
                }
                self.go_on_behind(step, id, scarce);
            }
        }
    }

    /// What comes behind a command that was given up is carried out until one lacks something too: that one begins to wait, at the end of its line.
    fn go_on_behind(&mut self, step: &mut Step<'_>, id: ConnectionId, scarce: Scarce) {
        while !step.is_over() {
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let Some((request, command)) = connection.backlog.pop() else {
                connection.backlog.waits = None;
                return;
            };
            self.lines.bytes -= bytes_of(&command);
            if let Some(shortage) = self.shortage_for(step, id, &command) {
                if shortage.is_final {
                    step.spend(1);
                    self.fail(step, id, request, command, shortage.refusal);
                    continue;
                }
                if let Some(connection) = self.connections.get_mut(&id) {
                    self.lines.bytes += bytes_of(&command);
                    connection.backlog.put_back(request, command);
                }
                return self.stand_in_line(id, shortage.scarce);
            }
            step.spend(1);
            self.perform(step, id, request, command);
        }
        // The step was long enough: the line goes on with it.
        self.stand_in_line(id, scarce);
        self.lines.may_move = true;
    }

    /// When the first in a line has waited for long enough; `None`: it waits for as long as it takes, or is gone.
    fn gives_up_at(&self, id: ConnectionId) -> Option<EngineTime> {
        let after = self.settings.send_fail_if_no_space_after?;
        let Some((_, since)) = self
            .connections
            .get(&id)
            .and_then(|connection| connection.backlog.waits)
        else {
            return Some(self.now);
        };
        Some(since.after(after))
    }

    /// When [`Engine::give_up`] has something to do.
    pub(crate) fn next_give_up(&self) -> Option<EngineTime> {
        let firsts = [self.lines.store.front(), self.lines.memory.front()];
        firsts
            .into_iter()
            .flatten()
            .filter_map(|id| self.gives_up_at(*id))
            .min()
    }

    /// A command that does not fit and is not to wait.
    fn fail(
        &mut self,
        step: &mut Step<'_>,
        id: ConnectionId,
        request: Option<RequestId>,
        command: Command,
        refusal: Refusal,
    ) {
        if let Command::Commit { transaction } = &command
            && let Some(transaction) = self.transactions.get_mut(transaction)
        {
            transaction.failed.get_or_insert(refusal);
            self.perform(step, id, request, command);
        } else {
            self.effects.refused(id, request, Sequence::NONE, refusal);
        }
    }

    /// What a command would need and cannot have now.
    fn shortage_for(&self, step: &Step<'_>, id: ConnectionId, command: &Command) -> Option<Shortage> {
        match command {
            Command::Send(send) if send.transaction.is_none() => self.shortage(step, std::slice::from_ref(&**send)),
            Command::Commit { transaction } => {
                let transaction = self.transactions.get(transaction)?;
                (transaction.connection == id && transaction.failed.is_none())
                    .then(|| self.shortage(step, &transaction.sends))
                    .flatten()
            }
            _ => None,
        }
    }

    fn shortage(&self, step: &Step<'_>, sends: &[Send]) -> Option<Shortage> {
        let (mut bytes, mut in_memory) = (0, None);
        for send in sends {
            for destination in &send.destinations {
                let original = send.duplicate_id.as_ref();
                if original.is_some_and(|id| self.original_of(step, destination, id).is_some()) {
                    continue;
                }
                if send.message.persistent && !destination.kind.is_temporary() {
                    if let Some(why) = &self.store_full {
                        return Some(Shortage {
                            scarce: Scarce::Store,
                            refusal: store_is_full(why, destination),
                            is_final: false,
                        });
                    }
                } else {
                    bytes += send.message.bytes_held() as u64;
                    in_memory = Some(destination);
                }
            }
        }
        let bytes_max = self.settings.volatile_bytes_max as u64;
        in_memory
            .filter(|_| self.volatile_bytes + bytes > bytes_max)
            .map(|destination| Shortage {
                scarce: Scarce::Memory,
                refusal: memory_is_full(destination, self.volatile_bytes, bytes, bytes_max),
                is_final: bytes > bytes_max,
            })
    }
}

fn store_is_full(why: &str, destination: &Destination) -> Refusal {
    let text =
        format!("Persistent store is Full: {why}. Nothing was sent to {destination:#}; try again when there is space");
    Refusal::new(RefusalKind::ResourceAllocation, text)
}

fn memory_is_full(destination: &Destination, taken: u64, more: u64, bytes_max: u64) -> Refusal {
    let text = format!(
        "Usage Manager Memory Limit reached on {destination:#}: non-persistent messages that wait take {taken} of {bytes_max} bytes, and this would take {more}. \
         Consume some, send persistent messages, or raise the limit"
    );
    Refusal::new(RefusalKind::ResourceAllocation, text)
}
