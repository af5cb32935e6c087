//! The types of history events: the 62 of the service's model, and whatever it adds later.

use std::fmt;

/// The type of a state, as the Amazon States Language names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the Amazon States Language")]
pub enum StateType {
    Choice,
    Fail,
    Map,
    Parallel,
    Pass,
    Succeed,
    Task,
    Wait,
    /// A type that the service added later.
    Other(String),
}

impl StateType {
    /// Reads the name that the Amazon States Language gives it.
    pub fn parse(text: &str) -> Self {
        match text {
            "Choice" => Self::Choice,
            "Fail" => Self::Fail,
            "Map" => Self::Map,
            "Parallel" => Self::Parallel,
            "Pass" => Self::Pass,
            "Succeed" => Self::Succeed,
            "Task" => Self::Task,
            "Wait" => Self::Wait,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The name that the Amazon States Language gives it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Choice => "Choice",
            Self::Fail => "Fail",
            Self::Map => "Map",
            Self::Parallel => "Parallel",
            Self::Pass => "Pass",
            Self::Succeed => "Succeed",
            Self::Task => "Task",
            Self::Wait => "Wait",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for StateType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for StateType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// What an event means for the work of a Task state, with any integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// An attempt begins.
    Scheduled,
    /// The attempt runs.
    Started,
    /// The attempt was handed over and is waited for.
    Submitted,
    /// The attempt brought a result.
    Succeeded,
    /// The attempt failed.
    Failed,
    /// The attempt failed by taking too long.
    TimedOut,
}

macro_rules! event_types {
    ($($name:ident)*) => {
        /// The type of a history event.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are those of the service's model")]
        pub enum EventType {
            $($name,)*
            /// `TaskStateEntered` and its like, also of state types added later.
            StateEntered(StateType),
            /// `TaskStateExited` and its like, also of state types added later.
            StateExited(StateType),
            /// A type that the service added later.
            Unknown(String),
        }

        impl EventType {
            /// Every type with a name of its own, that is without `*StateEntered` and
            /// `*StateExited`.
            pub const NAMED: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Reads the service's name.
            pub fn parse(text: &str) -> Self {
                match text {
                    $(stringify!($name) => Self::$name,)*
                    _ => {
                        if let Some(state) = text.strip_suffix("StateEntered") {
                            Self::StateEntered(StateType::parse(state))
                        } else if let Some(state) = text.strip_suffix("StateExited") {
                            Self::StateExited(StateType::parse(state))
                        } else {
                            Self::Unknown(text.to_owned())
                        }
                    }
                }
            }
        }

        impl fmt::Display for EventType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self::StateEntered(state) => write!(f, "{state}StateEntered"),
                    Self::StateExited(state) => write!(f, "{state}StateExited"),
                    Self::Unknown(name) => f.write_str(name),
                }
            }
        }
    };
}

event_types! {
    ExecutionStarted ExecutionSucceeded ExecutionFailed ExecutionAborted ExecutionTimedOut ExecutionRedriven
    TaskScheduled TaskStarted TaskSubmitted TaskSucceeded
    TaskFailed TaskStartFailed TaskSubmitFailed TaskTimedOut
    LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded
    LambdaFunctionFailed LambdaFunctionScheduleFailed LambdaFunctionStartFailed LambdaFunctionTimedOut
    ActivityScheduled ActivityStarted ActivitySucceeded ActivityFailed ActivityScheduleFailed ActivityTimedOut
    MapStateStarted MapStateSucceeded MapStateFailed MapStateAborted
    MapIterationStarted MapIterationSucceeded MapIterationFailed MapIterationAborted
    ParallelStateStarted ParallelStateSucceeded ParallelStateFailed ParallelStateAborted
    MapRunStarted MapRunSucceeded MapRunFailed MapRunAborted MapRunRedriven
    TaskStateAborted WaitStateAborted EvaluationFailed
}

impl EventType {
    /// Whether it only records what else was aborted with a failure: the chain skips it to find the cause.
    pub fn only_follows_a_failure(&self) -> bool {
        matches!(
            self,
            Self::MapIterationFailed
                | Self::MapIterationAborted
                | Self::MapStateAborted
                | Self::ParallelStateAborted
                | Self::TaskStateAborted
                | Self::WaitStateAborted
                | Self::MapRunAborted
        )
    }

    /// What the event means for a Task state's work; `None` for every other event.
    pub fn work(&self) -> Option<Work> {
        Some(match self {
            Self::TaskScheduled | Self::LambdaFunctionScheduled | Self::ActivityScheduled => Work::Scheduled,
            Self::TaskStarted | Self::LambdaFunctionStarted | Self::ActivityStarted => Work::Started,
            Self::TaskSubmitted => Work::Submitted,
            Self::TaskSucceeded | Self::LambdaFunctionSucceeded | Self::ActivitySucceeded => Work::Succeeded,
            Self::TaskTimedOut | Self::LambdaFunctionTimedOut | Self::ActivityTimedOut => Work::TimedOut,
            Self::TaskFailed
            | Self::TaskStartFailed
            | Self::TaskSubmitFailed
            | Self::LambdaFunctionFailed
            | Self::LambdaFunctionScheduleFailed
            | Self::LambdaFunctionStartFailed
            | Self::ActivityFailed
            | Self::ActivityScheduleFailed => Work::Failed,
            _ => return None,
        })
    }

    /// Whether the event is an error of a state, be it work, an expression or a Map run.
    pub fn is_failure(&self) -> bool {
        matches!(self.work(), Some(Work::Failed | Work::TimedOut))
            || matches!(self, Self::EvaluationFailed | Self::MapRunFailed)
    }

    /// How the execution ended with this event; `None` for every other event.
    pub fn end(&self) -> Option<super::Status> {
        Some(match self {
            Self::ExecutionSucceeded => super::Status::Succeeded,
            Self::ExecutionFailed => super::Status::Failed,
            Self::ExecutionAborted => super::Status::Aborted,
            Self::ExecutionTimedOut => super::Status::TimedOut,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_62_types_of_the_model_are_known() {
        // 8 types of state are entered, all but Fail are exited.
        assert_eq!(EventType::NAMED.len() + 8 + 7, 62);
        for name in EventType::NAMED {
            assert!(!matches!(EventType::parse(name), EventType::Unknown(_)), "{name}");
            assert_eq!(EventType::parse(name).to_string(), *name);
        }
    }

    #[test]
    fn the_model_of_the_sdk_has_no_type_that_we_lack() {
        for name in aws_sdk_sfn::types::HistoryEventType::values() {
            let ours = EventType::parse(name);
            assert!(!matches!(ours, EventType::Unknown(_)), "{name}");
            assert_eq!(&ours.to_string(), name);
        }
    }

    #[test]
    fn a_state_type_added_later_is_still_entered_and_exited() {
        assert_eq!(
            EventType::parse("LoopStateEntered"),
            EventType::StateEntered(StateType::Other("Loop".into()))
        );
        assert_eq!(EventType::parse("LoopStateExited").to_string(), "LoopStateExited");
        assert_eq!(EventType::parse("LoopBegan"), EventType::Unknown("LoopBegan".into()));
    }
}
