//! Reads that may take long, on threads of their own: lists, counts, and point reads that met a lock.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use grantry_domain::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::fault::Fault;

type Read = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Read(Read),
    Close,
}

/// The queue to the threads.
pub(crate) struct Lane {
    queue: mpsc::Sender<Message>,
    /// Answers `None` once every thread has ended and closed its connection.
    ended: tokio::sync::Mutex<mpsc::Receiver<Infallible>>,
}

impl Lane {
    /// Starts a thread per connection.
    pub(crate) fn start(connections: Vec<Connection>, capacity: usize) -> Result<Self, StoreError> {
        let (queue, reads) = mpsc::channel(capacity.max(1));
        let reads = Arc::new(Mutex::new(reads));
        let (alive, ended) = mpsc::channel(1);
        for connection in connections {
            let (reads, alive) = (reads.clone(), alive.clone());
            thread::Builder::new()
                .name("grantry-sqlite-reader".to_owned())
                .spawn(move || {
                    serve(&reads, &connection);
                    drop(connection);
                    drop(alive);
                })
                .map_err(|_| StoreError::Unavailable)?;
        }
        Ok(Self { queue, ended: tokio::sync::Mutex::new(ended) })
    }

    /// Reads on one of the threads.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // Nobody waits for the answer when the caller has gone away.
        let read: Read = Box::new(move |connection| drop(reply.send(read(connection))));
        self.queue.send(Message::Read(read)).await.map_err(|_| StoreError::Unavailable)?;
        Ok(answer.await.map_err(|_| StoreError::Unavailable)??)
    }

    /// Lets the threads finish what is queued, and waits for their end.
    pub(crate) async fn close(&self) {
        // An error means that it is closed already.
        drop(self.queue.send(Message::Close).await);
        while self.ended.lock().await.recv().await.is_some() {}
    }
}

fn serve(reads: &Mutex<mpsc::Receiver<Message>>, connection: &Connection) {
    loop {
        let mut queue = reads.lock().unwrap_or_else(PoisonError::into_inner);
        let message = queue.blocking_recv();
        match message {
            Some(Message::Read(read)) => {
                drop(queue);
                read(connection);
            }
            Some(Message::Close) => queue.close(),
            None => return,
        }
    }
}
