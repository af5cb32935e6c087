//! Places where a test may have the process crash, stop, panic or hang.
//!
//! Only with the cargo feature `failpoints`, and then only where `MISSTEP_FAILPOINT` says so, as in
//! `delete-answered=kill`. Without the feature [`reach`] does nothing, and a build holds no trace of
//! the rest; `tests/it/crash.rs` holds that.

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub use armed::{VARIABLE, reach};

/// The audience of a notification, as far as points are told apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// The developers.
    Developers,
    /// CustomerAssist.
    CustomerAssist,
    /// Anybody else.
    Others,
}

impl Recipient {
    /// The recipient for an audience of this name.
    pub fn of(audience: &str) -> Self {
        match audience {
            "developers" => Self::Developers,
            "customer-assist" => Self::CustomerAssist,
            _ => Self::Others,
        }
    }
}

/// A step in a message's life. `…Sending` is just before a call is made, `…Answered` is when its
/// effect has happened and this process has not recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A poll came back, and its messages are in nobody's hands yet.
    Received,
    /// A body was understood.
    Parsed,
    /// The newest page of a history was read.
    NewestPage,
    /// An older page of a history was read.
    OlderPage,
    /// The finding is there.
    Analysed,
    /// A notification is about to go out.
    NotificationSending(Recipient),
    /// A notification was accepted.
    NotificationAnswered(Recipient),
    /// A failure was recorded in its incident.
    Recorded,
    /// An incident was claimed.
    IncidentClaimed,
    /// What its next notification says is fixed.
    IncidentFrozen,
    /// A route's acceptance of it was noted.
    IncidentNoted,
    /// Every route's acceptance of it was noted, and that it is done.
    IncidentFinished,
    /// The sweep was claimed.
    SweepClaimed,
    /// A page of failed executions was listed and looked up.
    SweepListed,
    /// Events of missing failures were put into the queue.
    SweepPut,
    /// That they were is noted.
    SweepNoted,
    /// A pass of the sweep is over.
    SweepCompleted,
    /// A message is to be deleted.
    DeleteQueued,
    /// A batch of deletes is about to go out.
    DeleteSending,
    /// A batch of deletes was answered.
    DeleteAnswered,
    /// A message is about to go to the dead-letter queue.
    DeadLetterSending,
    /// The dead-letter queue has accepted a message, and the original still exists.
    DeadLetterAnswered,
    /// A batch of messages is about to be released.
    ReleaseSending,
    /// A batch of messages was released.
    ReleaseAnswered,
    /// Leases are about to be renewed.
    RenewalSending,
    /// Leases were renewed.
    RenewalAnswered,
}

impl Point {
    /// Those that every message may come by, in their order.
    pub const ALL: [Self; 18] = [
        Self::Received,
        Self::Parsed,
        Self::NewestPage,
        Self::OlderPage,
        Self::Analysed,
        Self::NotificationSending(Recipient::Developers),
        Self::NotificationSending(Recipient::CustomerAssist),
        Self::NotificationAnswered(Recipient::Developers),
        Self::NotificationAnswered(Recipient::CustomerAssist),
        Self::DeleteQueued,
        Self::DeleteSending,
        Self::DeleteAnswered,
        Self::DeadLetterSending,
        Self::DeadLetterAnswered,
        Self::ReleaseSending,
        Self::ReleaseAnswered,
        Self::RenewalSending,
        Self::RenewalAnswered,
    ];

    /// Those that only a failure in an incident comes by, in their order.
    pub const OF_INCIDENTS: [Self; 5] = [
        Self::Recorded,
        Self::IncidentClaimed,
        Self::IncidentFrozen,
        Self::IncidentNoted,
        Self::IncidentFinished,
    ];

    /// Those of the sweep, in their order.
    pub const OF_SWEEP: [Self; 5] =
        [Self::SweepClaimed, Self::SweepListed, Self::SweepPut, Self::SweepNoted, Self::SweepCompleted];

    /// The point at a page of a history.
    pub fn page(is_newest: bool) -> Self {
        if is_newest { Self::NewestPage } else { Self::OlderPage }
    }

    /// The name in `MISSTEP_FAILPOINT`, in logs and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Parsed => "parsed",
            Self::NewestPage => "newest-page",
            Self::OlderPage => "older-page",
            Self::Analysed => "analysed",
            Self::NotificationSending(Recipient::Developers) => "notification-sending-developers",
            Self::NotificationSending(Recipient::CustomerAssist) => "notification-sending-customer-assist",
            Self::NotificationAnswered(Recipient::Developers) => "notification-answered-developers",
            Self::NotificationAnswered(Recipient::CustomerAssist) => "notification-answered-customer-assist",
            Self::NotificationSending(Recipient::Others) => "notification-sending-others",
            Self::NotificationAnswered(Recipient::Others) => "notification-answered-others",
            Self::Recorded => "recorded",
            Self::IncidentClaimed => "incident-claimed",
            Self::IncidentFrozen => "incident-frozen",
            Self::IncidentNoted => "incident-noted",
            Self::IncidentFinished => "incident-finished",
            Self::SweepClaimed => "sweep-claimed",
            Self::SweepListed => "sweep-listed",
            Self::SweepPut => "sweep-put",
            Self::SweepNoted => "sweep-noted",
            Self::SweepCompleted => "sweep-completed",
            Self::DeleteQueued => "delete-queued",
            Self::DeleteSending => "delete-sending",
            Self::DeleteAnswered => "delete-answered",
            Self::DeadLetterSending => "dead-letter-sending",
            Self::DeadLetterAnswered => "dead-letter-answered",
            Self::ReleaseSending => "release-sending",
            Self::ReleaseAnswered => "release-answered",
            Self::RenewalSending => "renewal-sending",
            Self::RenewalAnswered => "renewal-answered",
        }
    }
}

/// Reports that a point was reached.
#[cfg(not(feature = "failpoints"))]
pub async fn reach(_point: Point) {}
