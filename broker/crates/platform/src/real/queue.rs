//! Hands jobs to threads, and what they completed back to the owner.
//!
//! Invariants: a queue that is closed gives no more jobs, waiting ones included; whoever is inside a job finishes it and ends. An owner that has closed what is finished is never woken again.
//! Nothing ever joins a thread, so that one stuck in a system call holds nobody up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs for one group of threads, oldest first.
pub(super) struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    changed: Condvar,
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    closed: bool,
}

/// A panic while one of our locks is held cannot leave its content half-changed: each section under a lock is one push or pop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J> Queue<J> {
    pub(super) fn new() -> Queue<J> {
        Queue {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn push(&self, job: J) {
        lock(&self.waiting).jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Waits for a job; `None` once the queue is closed.
    pub(super) fn take(&self) -> Option<J> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn close(&self) {
        let dropped = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        self.changed.notify_all();
        drop(dropped);
    }
}

/// What is done, for the owner to collect; wakes it when there is something where there was nothing.
pub(super) struct Finished<D> {
    done: Mutex<VecDeque<D>>,
    /// Held while the owner is being woken; `None` once there is nobody to wake.
    wake: Mutex<Option<Wake>>,
}

/// Tells an owner that something completed. It is called under a lock: it must neither block nor close.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

impl<D> Finished<D> {
    pub(super) fn new(wake: Wake) -> Finished<D> {
        Finished {
            done: Mutex::new(VecDeque::new()),
            wake: Mutex::new(Some(wake)),
        }
    }

    pub(super) fn push(&self, item: D) {
        let was_empty = {
            let mut done = lock(&self.done);
            done.push_back(item);
            done.len() == 1
        };
        if was_empty && let Some(wake) = &*lock(&self.wake) {
            wake();
        }
    }

    /// The owner is going: when this has returned, nobody wakes it any more, not even a thread that is still inside a job.
    pub(super) fn close(&self) {
        let wake = lock(&self.wake).take();
        drop(wake);
    }

    pub(super) fn take(&self) -> Option<D> {
        lock(&self.done).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_owner_is_woken_once_for_completions_that_it_has_not_yet_collected() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = wakes.clone();
        let finished = Finished::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        finished.push(1);
        finished.push(2);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(
            (finished.take(), finished.take(), finished.take()),
            (Some(1), Some(2), None)
        );
        finished.push(3);
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn an_owner_that_has_gone_is_not_woken_by_what_completes_later() {
        let (wake, woken) = std::sync::mpsc::channel();
        let finished = Finished::new(Arc::new(move || wake.send(()).expect("the owner is there")));
        finished.push(1);
        finished.close();
        drop(woken);
        assert_eq!(finished.take(), Some(1));
        finished.push(2);
    }

    #[test]
    fn a_closed_queue_gives_nothing_and_frees_who_waits() {
        let queue: Arc<Queue<u32>> = Arc::new(Queue::new());
        let waiter = std::thread::spawn({
            let queue = queue.clone();
            move || queue.take()
        });
        queue.close();
        assert_eq!(waiter.join().unwrap(), None);
        queue.push(1);
        assert_eq!(queue.take(), None);
    }
}
