//! The store from outside: what it promises beyond the contract that all stores share.

#[cfg(test)]
mod file;
#[cfg(test)]
mod place;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod transitions;
#[cfg(test)]
mod writer;
