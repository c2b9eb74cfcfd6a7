//! What this store guarantees beyond the contract that all stores share.

#[cfg(test)]
mod commits;
#[cfg(test)]
mod database;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod pooler;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod transitions;
