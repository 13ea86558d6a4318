//! The bounded line of commits before the writer thread.
//!
//! Handing in never waits: a full line is [`StoreError::Overloaded`]. The writer takes whole groups.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Batch, Commit, StoreError};

/// Most requests that wait.
pub(super) const QUEUE_REQUESTS_MAX: usize = 4096;
/// Most bytes of batches that wait.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most requests that share one write to the disk.
pub(super) const GROUP_REQUESTS_MAX: usize = 512;
/// Bytes of batches after which a group takes no further request.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A batch and where its outcome is awaited.
pub(super) struct Request {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<Commit, StoreError>>,
}

#[derive(Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    filled: Condvar,
}

#[derive(Default)]
struct Line {
    requests: VecDeque<(usize, Request)>,
    bytes: usize,
    /// Why nothing more is taken.
    closed: Option<StoreError>,
}

impl Queue {
    /// Hands in a request.
    pub fn push(&self, request: Request) -> Result<(), StoreError> {
        let bytes = request.batch.bytes();
        let mut line = self.line();
        if let Some(reason) = &line.closed {
            return Err(reason.clone());
        }
        if line.requests.len() >= QUEUE_REQUESTS_MAX || line.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(StoreError::Overloaded);
        }
        line.bytes += bytes;
        line.requests.push_back((bytes, request));
        drop(line);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for requests and takes as many as share one write; `None` when the line is closed and empty.
    pub fn take_group(&self) -> Option<Vec<Request>> {
        let mut line = self.line();
        while line.requests.is_empty() {
            if line.closed.is_some() {
                return None;
            }
            line = self.filled.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        Some(line.take_group())
    }

    /// Takes nothing more, for the first reason given. What waits stays for the writer.
    pub fn close(&self, reason: StoreError) {
        self.line().closed.get_or_insert(reason);
        self.filled.notify_one();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn take_group(&mut self) -> Vec<Request> {
        let mut group = Vec::new();
        let mut group_bytes = 0;
        while group.len() < GROUP_REQUESTS_MAX && group_bytes < GROUP_BYTES_MAX {
            let Some((bytes, request)) = self.requests.pop_front() else { break };
            self.bytes -= bytes;
            group_bytes += bytes;
            group.push(request);
        }
        group
    }
}
