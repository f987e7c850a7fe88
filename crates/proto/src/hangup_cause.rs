//! Why a leg or a bridge ended, and which SIP status that is.

use serde::{Deserialize, Serialize};

use crate::lenient::loose_by_serde;

/// Why a leg or a bridge ended, in FreeSWITCH's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HangupCause {
    /// BYE, or the flow's end.
    NormalClearing,
    /// The caller gave up while it rang (CANCEL).
    OriginatorCancel,
    /// 486, 600.
    UserBusy,
    /// It rang too long.
    NoAnswer,
    /// Nothing came back at all (408).
    NoUserResponse,
    /// 403, 603 and other refusals.
    CallRejected,
    /// 404.
    UnallocatedNumber,
    /// Not registered (480).
    UserNotRegistered,
    /// Another endpoint answered first.
    LoseRace,
    /// No common codec (488).
    IncompatibleDestination,
    /// 5xx.
    NormalTemporaryFailure,
    /// RTP or the SIP dialog went silent.
    MediaTimeout,
    /// The node is shutting down.
    ManagerRequest,
    /// Any cause this version does not know.
    #[serde(other)]
    NormalUnspecified,
}

impl HangupCause {
    /// The cause of this name; none for names of causes we have no word for.
    pub fn of_name(name: &str) -> Option<Self> {
        let cause: Self = serde_json::from_value(name.into()).ok()?;
        (cause.name() == name).then_some(cause)
    }

    /// The cause's name on the wire: also a branch key of a callflow.
    pub fn name(self) -> &'static str {
        match self {
            Self::NormalClearing => "NORMAL_CLEARING",
            Self::OriginatorCancel => "ORIGINATOR_CANCEL",
            Self::UserBusy => "USER_BUSY",
            Self::NoAnswer => "NO_ANSWER",
            Self::NoUserResponse => "NO_USER_RESPONSE",
            Self::CallRejected => "CALL_REJECTED",
            Self::UnallocatedNumber => "UNALLOCATED_NUMBER",
            Self::UserNotRegistered => "USER_NOT_REGISTERED",
            Self::LoseRace => "LOSE_RACE",
            Self::IncompatibleDestination => "INCOMPATIBLE_DESTINATION",
            Self::NormalTemporaryFailure => "NORMAL_TEMPORARY_FAILURE",
            Self::MediaTimeout => "MEDIA_TIMEOUT",
            Self::ManagerRequest => "MANAGER_REQUEST",
            Self::NormalUnspecified => "NORMAL_UNSPECIFIED",
        }
    }

    /// The SIP status a leg that never was answered is refused with for this cause (RFC 3398 §8.2.6, as FreeSWITCH maps it).
    pub fn sip_status(self) -> u16 {
        match self {
            Self::UserBusy => 486,
            Self::NoAnswer | Self::UserNotRegistered | Self::NormalClearing => 480,
            Self::NoUserResponse => 408,
            Self::CallRejected => 603,
            Self::UnallocatedNumber => 404,
            Self::OriginatorCancel | Self::LoseRace => 487,
            Self::IncompatibleDestination => 488,
            Self::NormalTemporaryFailure | Self::ManagerRequest => 503,
            Self::MediaTimeout | Self::NormalUnspecified => 480,
        }
    }

    /// The cause a refusing SIP status means (RFC 3398 §7.2.4.1, as FreeSWITCH maps it).
    pub fn from_sip_status(status: u16) -> Self {
        match status {
            486 | 600 => Self::UserBusy,
            480 => Self::NoAnswer,
            408 => Self::NoUserResponse,
            403 | 401 | 407 | 603 | 607 | 608 => Self::CallRejected,
            404 | 410 | 604 => Self::UnallocatedNumber,
            487 => Self::OriginatorCancel,
            415 | 488 | 606 => Self::IncompatibleDestination,
            500..=599 => Self::NormalTemporaryFailure,
            _ => Self::NormalUnspecified,
        }
    }
}

loose_by_serde!(HangupCause);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unheard_of_cause_does_not_spoil_an_event() {
        let cause: HangupCause = serde_json::from_value(json!("MOON_PHASE")).unwrap();
        assert_eq!(cause, HangupCause::NormalUnspecified);
    }

    #[test]
    fn names_and_serde_agree() {
        for cause in [
            HangupCause::UserBusy,
            HangupCause::NoAnswer,
            HangupCause::MediaTimeout,
        ] {
            assert_eq!(serde_json::to_value(cause).unwrap(), json!(cause.name()));
        }
    }
}
