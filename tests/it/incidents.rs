//! Incidents: nothing lost whatever crashes when, every store alike, and what people get.

mod contract;
mod delivery;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod model;
mod storm;
mod world;
