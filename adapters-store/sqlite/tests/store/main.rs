//! What this store guarantees beyond the contract that all stores share.

#[cfg(test)]
mod database;
#[cfg(test)]
mod file;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod transitions;
#[cfg(test)]
mod writer;
