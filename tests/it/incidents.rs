//! Incidents: nothing lost whatever crashes when, every store alike, and what people get.

mod model;
mod world;
