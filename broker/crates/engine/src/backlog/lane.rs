//! One priority of a backlog: pages of persistent entries, and non-persistent messages beside them, both by rising number.
//!
//! Invariants: numbers rise from page to page and within a page; a page that holds nothing does not exist; an ordinal is used once. Pages are shared with images and
//! copied when they change while an image holds them. What is consumed at the front of a page stays there, not counted, until [`TRIM_AFTER`] of it can go at once:
//! taking messages in order costs no move of the rest. Proved by the tests below, which compare with a plain map.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use message::{Message, MessageNumber};
use record::{Entry, PAGE_ENTRIES_MAX, Page, PieceReference, Place};

/// So many consumed entries at the front of a page are dropped together.
const TRIM_AFTER: usize = 64;

/// Messages that could be looked at while one page is freed.
const DISCARDED_PAGE_COSTS: usize = 100;

/// A waiting message as found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) number: MessageNumber,
    /// Engine time in milliseconds; 0: never.
    pub(crate) expiration: u64,
    pub(crate) redeliveries: u32,
    /// Its bytes are damaged.
    pub(crate) set_aside: bool,
    pub(crate) body: BodyAt,
}

/// Where a waiting message's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum BodyAt {
    /// In the store.
    Stored(Place),
    /// In memory only: it is not persistent.
    Memory(Arc<Message>),
}

/// A waiting message that is not persistent.
#[derive(Clone, Debug)]
struct Volatile {
    message: Arc<Message>,
    redeliveries: u32,
}

/// What was taken out.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    /// A persistent entry.
    Stored(Entry),
    /// A message in memory.
    Memory(Arc<Message>),
}

/// Whether a page lies in a checkpoint.
#[derive(Clone, Debug)]
enum Written {
    /// It does, unchanged.
    At(PieceReference),
    /// An image has it, and it has not changed since.
    Imaged,
    /// Neither.
    No,
}

#[derive(Debug)]
struct Slot {
    ordinal: u64,
    page: Arc<Page>,
    /// Entries at the front that are consumed.
    consumed: usize,
    /// Not above the number of any entry.
    first: MessageNumber,
    /// Not above any expiration in it; `u64::MAX` if nothing in it expires.
    expires: u64,
    written: Written,
}

impl Slot {
    fn entries(&self) -> &[Entry] {
        &self.page.entries[self.consumed..]
    }

    fn change(&mut self) -> &mut Vec<Entry> {
        self.written = Written::No;
        &mut Arc::make_mut(&mut self.page).entries
    }

    fn find(&self, number: MessageNumber) -> Option<usize> {
        self.entries()
            .binary_search_by_key(&number, |entry| entry.number)
            .ok()
            .map(|index| index + self.consumed)
    }

    fn trim(&mut self) {
        if self.consumed > 0 {
            let consumed = std::mem::take(&mut self.consumed);
            let entries = self.change();
            entries.drain(..consumed);
            if entries.len() * 4 < entries.capacity() {
                entries.shrink_to(entries.len() * 2);
            }
            self.expires = expires(&self.page.entries);
        }
    }
}

fn expires(entries: &[Entry]) -> u64 {
    entries
        .iter()
        .map(|entry| entry.expiration)
        .filter(|at| *at > 0)
        .min()
        .unwrap_or(u64::MAX)
}

/// One priority's messages.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pages: VecDeque<Slot>,
    next_ordinal: u64,
    volatile: BTreeMap<MessageNumber, Volatile>,
    /// Persistent entries.
    stored: usize,
}

impl Lane {
    /// Messages in it.
    pub(crate) fn len(&self) -> usize {
        self.stored + self.volatile.len()
    }

    /// Adds a persistent message; its number is above all others.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.stored += 1;
        let expires = if entry.expiration > 0 {
            entry.expiration
        } else {
            u64::MAX
        };
        if let Some(slot) = self.pages.back_mut()
            && slot.page.entries.len() < PAGE_ENTRIES_MAX
        {
            slot.expires = slot.expires.min(expires);
            slot.change().push(entry);
            return;
        }
        self.pages.push_back(Slot {
            ordinal: self.next_ordinal,
            first: entry.number,
            page: Arc::new(Page { entries: vec![entry] }),
            consumed: 0,
            expires,
            written: Written::No,
        });
        self.next_ordinal += 1;
    }

    /// Adds a message that is not persistent.
    pub(crate) fn push_volatile(&mut self, number: MessageNumber, message: Arc<Message>) {
        self.volatile.insert(
            number,
            Volatile {
                message,
                redeliveries: 0,
            },
        );
    }

    /// The highest number of a persistent entry.
    pub(crate) fn last(&self) -> Option<MessageNumber> {
        self.pages
            .back()
            .and_then(|slot| slot.page.entries.last())
            .map(|entry| entry.number)
    }

    /// The page that would hold a number.
    fn slot_of(&self, number: MessageNumber) -> Option<usize> {
        self.pages.partition_point(|slot| slot.first <= number).checked_sub(1)
    }

    /// Whether it has a persistent entry with this number.
    pub(crate) fn has_stored(&self, number: MessageNumber) -> bool {
        self.slot_of(number)
            .is_some_and(|slot| self.pages[slot].find(number).is_some())
    }

    /// Whether a persistent message stands at or before this number.
    pub(crate) fn has_stored_through(&self, through: MessageNumber) -> bool {
        let first = self.pages.front().and_then(|slot| slot.entries().first());
        first.is_some_and(|entry| entry.number <= through)
    }

    /// The message with this number.
    pub(crate) fn get(&self, number: MessageNumber) -> Option<Found> {
        if let Some(volatile) = self.volatile.get(&number) {
            return Some(found_volatile(number, volatile));
        }
        let slot = &self.pages[self.slot_of(number)?];
        slot.find(number).map(|index| found(&slot.page.entries[index]))
    }

    /// The first message whose number is not below `from`.
    pub(crate) fn next(&self, from: MessageNumber) -> Option<Found> {
        if self.stored == 0 && self.volatile.is_empty() {
            return None;
        }
        let stored = self
            .next_stored(from)
            .map(|(slot, index)| &self.pages[slot].page.entries[index]);
        let volatile = self.volatile.range(from..).next();
        match (stored, volatile) {
            (None, None) => None,
            (Some(entry), None) => Some(found(entry)),
            (Some(entry), Some((number, _))) if entry.number < *number => Some(found(entry)),
            (None | Some(_), Some((number, volatile))) => Some(found_volatile(*number, volatile)),
        }
    }

    /// Page and index of the first persistent entry whose number is not below `from`.
    fn next_stored(&self, from: MessageNumber) -> Option<(usize, usize)> {
        let slot = self.slot_of(from).unwrap_or(0);
        let page = self.pages.get(slot)?;
        let index = page.consumed + page.entries().partition_point(|entry| entry.number < from);
        if index < page.page.entries.len() {
            return Some((slot, index));
        }
        self.pages.get(slot + 1).map(|page| (slot + 1, page.consumed))
    }

    /// The first message from `from` on that has expired, and how many were looked at; stops after `look_max`, then with the number to go on from.
    pub(crate) fn next_expired(&self, from: MessageNumber, now: u64, look_max: usize) -> (Expired, usize) {
        let mut looked = 0;
        let stored = self.next_stored_expired(from, now, look_max, &mut looked);
        let volatile = self.next_volatile_expired(from, now, look_max, &mut looked);
        let outcome = match (stored, volatile) {
            (Expired::None, other) | (other, Expired::None) => other,
            (Expired::At(a) | Expired::LookedTo(a), Expired::At(b)) if b < a => Expired::At(b),
            (Expired::At(a) | Expired::LookedTo(a), Expired::LookedTo(b)) if b < a => Expired::LookedTo(b),
            (stored, Expired::At(_) | Expired::LookedTo(_)) => stored,
        };
        (outcome, looked)
    }

    fn next_stored_expired(&self, from: MessageNumber, now: u64, look_max: usize, looked: &mut usize) -> Expired {
        let Some((mut slot, mut index)) = self.next_stored(from) else {
            return Expired::None;
        };
        while let Some(page) = self.pages.get(slot) {
            if *looked >= look_max {
                return Expired::LookedTo(page.page.entries[index].number);
            }
            *looked += 1;
            if page.expires <= now {
                for entry in &page.page.entries[index..] {
                    if *looked >= look_max {
                        return Expired::LookedTo(entry.number);
                    }
                    *looked += 1;
                    if entry.expiration > 0 && entry.expiration <= now {
                        return Expired::At(entry.number);
                    }
                }
            }
            slot += 1;
            index = self.pages.get(slot).map_or(0, |page| page.consumed);
        }
        Expired::None
    }

    fn next_volatile_expired(&self, from: MessageNumber, now: u64, look_max: usize, looked: &mut usize) -> Expired {
        for (number, volatile) in self.volatile.range(from..) {
            if *looked >= look_max {
                return Expired::LookedTo(*number);
            }
            *looked += 1;
            let expiration = volatile.message.expiration;
            if expiration > 0 && expiration <= now {
                return Expired::At(*number);
            }
        }
        Expired::None
    }

    /// The number of the persistent entry that stands `count` entries behind this one, or of the last.
    pub(crate) fn ahead(&self, number: MessageNumber, count: usize) -> MessageNumber {
        let Some((mut slot, mut index)) = self.next_stored(number) else {
            return number;
        };
        index += count;
        while let Some(page) = self.pages.get(slot) {
            if let Some(entry) = page.page.entries.get(index) {
                return entry.number.max(number);
            }
            index -= page.page.entries.len();
            slot += 1;
            index += self.pages.get(slot).map_or(0, |page| page.consumed);
        }
        self.last().unwrap_or(number).max(number)
    }

    /// The number of the message that stands `count` messages behind the first, or of the last.
    pub(crate) fn nth(&self, count: usize) -> Option<MessageNumber> {
        let stored = self.pages.front().map(|slot| self.ahead(slot.first, count));
        let keys = || self.volatile.keys();
        let volatile = keys().nth(count).or_else(|| keys().next_back()).copied();
        match (stored, volatile) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Changes a persistent entry. `false`: there is none.
    pub(crate) fn change(&mut self, number: MessageNumber, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(slot) = self.slot_of(number) else { return false };
        let slot = &mut self.pages[slot];
        let Some(index) = slot.find(number) else { return false };
        change(&mut slot.change()[index]);
        true
    }

    /// Counts one more redelivery of a message that is not persistent.
    pub(crate) fn count_volatile_redelivery(&mut self, number: MessageNumber) {
        if let Some(volatile) = self.volatile.get_mut(&number) {
            volatile.redeliveries = volatile.redeliveries.saturating_add(1);
        }
    }

    /// Takes a message out.
    pub(crate) fn take(&mut self, number: MessageNumber) -> Option<Taken> {
        if let Some(volatile) = self.volatile.remove(&number) {
            return Some(Taken::Memory(volatile.message));
        }
        let at = self.slot_of(number)?;
        let slot = &mut self.pages[at];
        let index = slot.find(number)?;
        let taken = slot.page.entries[index];
        self.stored -= 1;
        if slot.entries().len() == 1 {
            self.pages.remove(at);
            return Some(Taken::Stored(taken));
        }
        let consumed = slot.consumed;
        let entries = slot.change();
        if index - consumed <= entries.len() / 2 {
            entries.copy_within(consumed..index, consumed + 1);
            slot.consumed += 1;
            if slot.consumed >= TRIM_AFTER {
                slot.trim();
            }
        } else {
            entries.remove(index);
        }
        Some(Taken::Stored(taken))
    }

    /// Takes all persistent entries up to a number out.
    pub(crate) fn purge(&mut self, through: MessageNumber) -> Gone {
        let mut gone = Gone::default();
        let mut account = |entries: &[Entry]| {
            gone.messages += entries.len() as u64;
            gone.bytes += entries.iter().map(|entry| u64::from(entry.place.length)).sum::<u64>();
            gone.set_aside += set_aside(entries);
        };
        while let Some(slot) = self.pages.front_mut() {
            if slot.page.entries.last().is_some_and(|entry| entry.number <= through) {
                account(slot.entries());
                self.pages.pop_front();
                continue;
            }
            let count = slot.entries().partition_point(|entry| entry.number <= through);
            if count > 0 {
                account(&slot.entries()[..count]);
                slot.written = Written::No;
                slot.consumed += count;
                slot.trim();
            }
            break;
        }
        self.stored -= usize::try_from(gone.messages).expect("they were in memory");
        gone
    }

    /// Takes messages up to a number out that are not persistent; at most `count_max`.
    pub(crate) fn purge_volatile(&mut self, through: MessageNumber, count_max: usize) -> Vec<Arc<Message>> {
        let mut gone = Vec::new();
        while gone.len() < count_max
            && let Some(first) = self.volatile.first_entry()
            && *first.key() <= through
        {
            gone.push(first.remove().message);
        }
        gone
    }

    /// Forgets one page and a hundred other messages at most; how many messages could have been looked at meanwhile, and whether nothing is left.
    pub(crate) fn discard(&mut self) -> (usize, bool) {
        let pages = self.pages.drain(..self.pages.len().min(1)).count();
        let mut spent = pages * DISCARDED_PAGE_COSTS;
        for _ in 0..100 {
            if self.volatile.pop_first().is_none() {
                break;
            }
            spent += 1;
        }
        (spent, self.pages.is_empty() && self.volatile.is_empty())
    }

    /// The pages for an image: ordinal, where it lies unchanged, content.
    pub(crate) fn image(&mut self) -> impl Iterator<Item = (u64, Option<PieceReference>, Arc<Page>)> {
        self.pages.iter_mut().map(|slot| {
            slot.trim();
            let stored = match &slot.written {
                Written::At(reference) => Some(reference.clone()),
                Written::Imaged | Written::No => {
                    slot.written = Written::Imaged;
                    None
                }
            };
            (slot.ordinal, stored, Arc::clone(&slot.page))
        })
    }

    /// A page of the newest image lies there now.
    pub(crate) fn stored(&mut self, ordinal: u64, reference: PieceReference) {
        if let Ok(at) = self.pages.binary_search_by_key(&ordinal, |slot| slot.ordinal) {
            let slot = &mut self.pages[at];
            match slot.written {
                Written::Imaged => slot.written = Written::At(reference),
                Written::At(_) | Written::No => {}
            }
        }
    }

    /// Puts a page back that a checkpoint holds; in rising order.
    pub(crate) fn restore(
        &mut self,
        ordinal: u64,
        page: Arc<Page>,
        reference: PieceReference,
    ) -> Result<(), &'static str> {
        let Some(first) = page.entries.first() else {
            return Err("page: empty");
        };
        if page.entries.len() > PAGE_ENTRIES_MAX {
            return Err("page: too many entries");
        }
        if self.last().is_some_and(|last| last >= first.number) || ordinal < self.next_ordinal {
            return Err("page: out of order");
        }
        self.stored += page.entries.len();
        self.next_ordinal = ordinal + 1;
        self.pages.push_back(Slot {
            ordinal,
            first: first.number,
            consumed: 0,
            expires: expires(&page.entries),
            page,
            written: Written::At(reference),
        });
        Ok(())
    }

    /// The ordinal of the next page.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.next_ordinal
    }

    /// Ordinals below this were used.
    pub(crate) fn skip_ordinals(&mut self, next: u64) {
        self.next_ordinal = self.next_ordinal.max(next);
    }
}

/// What a purge took out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Persistent messages, those set aside included.
    pub(crate) messages: u64,
    /// Their bytes, as stored.
    pub(crate) bytes: u64,
    /// Of the messages, those set aside.
    pub(crate) set_aside: u64,
}

/// How many of these are set aside.
pub(crate) fn set_aside(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| entry.set_aside).count() as u64
}

/// What a look for expired messages found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing to the end.
    None,
    /// This one.
    At(MessageNumber),
    /// Nothing before this number; it looked at enough.
    LookedTo(MessageNumber),
}

fn found(entry: &Entry) -> Found {
    Found {
        number: entry.number,
        expiration: entry.expiration,
        redeliveries: entry.redeliveries.into(),
        set_aside: entry.set_aside,
        body: BodyAt::Stored(entry.place),
    }
}

fn found_volatile(number: MessageNumber, volatile: &Volatile) -> Found {
    Found {
        number,
        expiration: volatile.message.expiration,
        redeliveries: volatile.redeliveries,
        set_aside: false,
        body: BodyAt::Memory(Arc::clone(&volatile.message)),
    }
}

#[cfg(test)]
mod tests;
