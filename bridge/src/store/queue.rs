//! The queue in front of a writer thread: drained whole, bounded by bytes, woken only for what is
//! urgent.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a consumer got from its queue.
pub(crate) enum Drained<T> {
    Items(Vec<T>),
    /// Nothing urgent came for a while; these are the items that can wait, perhaps none.
    Idle(Vec<T>),
    Closed(Vec<T>),
}

/// A first-in first-out queue for one consuming thread.
///
/// It holds at most the given number of bytes. When it is full, `push` waits, so that a disk that
/// falls behind slows down whoever writes instead of filling the memory.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
    room: Arc<Semaphore>,
    capacity: u32,
}

struct State<T> {
    items: VecDeque<Item<T>>,
    urgent: usize,
    closed: bool,
}

struct Item<T> {
    value: T,
    weight: usize,
    urgent: bool,
    _room: Option<OwnedSemaphorePermit>,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity_bytes: u32) -> Queue<T> {
        Queue {
            state: Mutex::new(State { items: VecDeque::new(), urgent: 0, closed: false }),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(capacity_bytes as usize)),
            capacity: capacity_bytes,
        }
    }

    /// Adds an item. One that is larger than the whole queue waits until the queue is empty.
    pub(crate) async fn push(&self, value: T, weight: usize, urgent: bool) {
        let permits = u32::try_from(weight).unwrap_or(u32::MAX).min(self.capacity);
        // The semaphore is fair, so items keep the order in which their pushes began; it is never
        // closed.
        let room = self.room.clone().acquire_many_owned(permits).await.ok();
        let mut state = self.lock();
        state.urgent += usize::from(urgent);
        state.items.push_back(Item { value, weight, urgent, _room: room });
        if urgent {
            self.wake.notify_one();
        }
    }

    /// Lets the newest item take `value` in, if `merge` says that it did; otherwise adds it as one
    /// that can wait.
    pub(crate) fn push_or_merge(&self, value: T, merge: impl FnOnce(&mut T, T) -> Option<T>) {
        let mut state = self.lock();
        let rest = match state.items.back_mut() {
            Some(newest) => merge(&mut newest.value, value),
            None => Some(value),
        };
        if let Some(value) = rest {
            state.items.push_back(Item { value, weight: 0, urgent: false, _room: None });
        }
    }

    /// Lets the consumer finish what is in the queue and end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Waits for an urgent item, and returns it with all that came before and after it up to the
    /// caps. Without one for `idle`, returns what there is.
    pub(crate) fn drain(&self, items_max: usize, bytes_max: usize, idle: Duration) -> Drained<T> {
        let mut state = self.lock();
        while state.urgent == 0 && !state.closed {
            let (guard, timeout) =
                self.wake.wait_timeout(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() && state.urgent == 0 && !state.closed {
                return Drained::Idle(take(&mut state, usize::MAX, usize::MAX));
            }
        }
        if state.urgent == 0 {
            return Drained::Closed(take(&mut state, usize::MAX, usize::MAX));
        }
        Drained::Items(take(&mut state, items_max, bytes_max))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take<T>(state: &mut State<T>, items_max: usize, bytes_max: usize) -> Vec<T> {
    let (mut values, mut bytes) = (Vec::new(), 0_usize);
    while let Some(item) = state.items.front() {
        let full = values.len() >= items_max || bytes.saturating_add(item.weight) > bytes_max;
        if full && !values.is_empty() {
            break;
        }
        let Some(item) = state.items.pop_front() else { break };
        bytes = bytes.saturating_add(item.weight);
        state.urgent -= usize::from(item.urgent);
        values.push(item.value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const NOW: Duration = Duration::ZERO;

    /// Pushes `items` (a letter, upper case if urgent) of ten bytes each.
    fn filled(capacity: u32, items: &str) -> Queue<char> {
        let queue = Queue::new(capacity);
        for item in items.chars() {
            queue.push(item, 10, item.is_uppercase()).now_or_never().expect("there is room");
        }
        queue
    }

    #[track_caller]
    fn check(queue: &Queue<char>, items_max: usize, bytes_max: usize, expected: &str) {
        let drained = match queue.drain(items_max, bytes_max, NOW) {
            Drained::Items(items) => format!("items {}", String::from_iter(items)),
            Drained::Idle(items) => format!("idle {}", String::from_iter(items)),
            Drained::Closed(items) => format!("closed {}", String::from_iter(items)),
        };
        assert_eq!(drained, expected);
    }

    #[test]
    fn what_can_wait_rides_along_in_its_place() {
        let queue = filled(1000, "aBcDe");
        check(&queue, 100, 1000, "items aBcDe");
        check(&queue, 100, 1000, "idle ");
    }

    #[test]
    fn what_can_wait_comes_alone_when_nothing_urgent_does() {
        check(&filled(1000, "abc"), 100, 1000, "idle abc");
    }

    #[test]
    fn one_drain_stays_within_its_caps() {
        let queue = filled(1000, "ABCDE");
        check(&queue, 2, 1000, "items AB");
        check(&queue, 100, 25, "items CD");
        check(&queue, 100, 1, "items E");
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = filled(1000, "Ab");
        queue.close();
        check(&queue, 1, 1000, "items A");
        check(&queue, 1, 1000, "closed b");
    }

    #[test]
    fn a_full_queue_lets_the_next_one_wait() {
        let queue = filled(20, "AB");
        let mut third = Box::pin(queue.push('C', 10, true));
        assert!(third.as_mut().now_or_never().is_none(), "a full queue took more");
        check(&queue, 100, 1000, "items AB");
        third.now_or_never().expect("there is room again");
        check(&queue, 100, 1000, "items C");
    }

    #[test]
    fn one_that_is_larger_than_the_queue_still_gets_through() {
        let queue = Queue::new(20);
        queue.push('A', 500, true).now_or_never().expect("the queue is empty");
        check(&queue, 100, 1000, "items A");
    }

    #[test]
    fn the_newest_may_take_another_in() {
        let queue = filled(1000, "Ab");
        queue.push_or_merge('c', |newest, next| {
            *newest = next;
            None
        });
        queue.push_or_merge('d', |_, next| Some(next));
        check(&queue, 100, 1000, "items Acd");
    }
}
