//! What `domain` promises, from outside: the rules alone, and the rules over a store.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod crowded;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod races;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod restless;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod submitting;
#[cfg(test)]
mod support;
