//! Incidents: nothing lost whatever crashes when, every store alike, and what people get.

mod bench;
mod commands;
mod contract;
mod delivery;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod inferring;
mod kept_data;
mod model;
mod storm;
mod world;
