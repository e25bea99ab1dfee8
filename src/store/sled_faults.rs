//! What a disk may do to the store, for tests.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// What happens at the next moments of its kind, one after the other.
#[derive(Debug, Default)]
pub(in crate::store) struct Faults {
    next: Mutex<VecDeque<(Moment, Fault)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Moment {
    Open,
    Write,
    /// A batch is written, and not durable yet.
    Sync,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Fault {
    Fail,
    Stall(Duration),
    Panic,
}

impl Faults {
    pub(in crate::store) fn script(&self, faults: impl IntoIterator<Item = (Moment, Fault)>) {
        self.next.lock().unwrap().extend(faults);
    }

    pub(in crate::store) fn at(&self, moment: Moment) -> Result<(), String> {
        let fault = {
            let mut next = self.next.lock().unwrap();
            let is_now = next.front().is_some_and(|(at, _)| *at == moment);
            if is_now { next.pop_front() } else { None }
        };
        match fault {
            None => Ok(()),
            Some((_, Fault::Fail)) => Err("no space left on device (scripted)".to_owned()),
            Some((_, Fault::Panic)) => panic!("scripted"),
            Some((_, Fault::Stall(time))) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}
