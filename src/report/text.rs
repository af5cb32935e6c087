//! The report in text, for someone paged at night.
