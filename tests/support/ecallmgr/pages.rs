//! The pages of the rule book: required and optional fields and their types, as Kazoo's `kapi_route`, `kapi_dialplan` and
//! `kapi_switch` have them.

/// What a value must be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A string, number or boolean.
    Scalar,
    Text,
    /// `true`, `false`, `"true"` or `"false"`.
    Boolean,
    /// `true` or `false`.
    JsonBool,
    Integer,
    Positive,
    Array,
    Object,
    /// An array of objects.
    Objects,
    OneOf(&'static [&'static str]),
    /// An array of digits of a telephone's keys, or `""`, or `"none"`.
    Terminators,
}

/// One type of message, or one type of command, or one type of part of a message.
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
    /// Keys whose values must be more than scalars.
    pub(super) kinds: &'static [(&'static str, Kind)],
}

/// What `say` can say.
const SAY_TYPES: &[&str] = &[
    "account_number",
    "currency",
    "current_date",
    "current_date_time",
    "current_time",
    "e-mail_address",
    "ip_address",
    "items",
    "messages",
    "name_phonetic",
    "name_spelled",
    "number",
    "persons",
    "postal_address",
    "short_date_time",
    "telephone_extension",
    "telephone_number",
    "time_measurement",
    "url",
];

/// `dialplan`/`route_resp`, to the asker.
pub(super) const ROUTE_RESP: Page = Page {
    name: "route_resp",
    required: &["Method"],
    optional: &[
        "Application-Data",
        "Custom-Application-Vars",
        "Custom-Channel-Vars",
        "From-Realm",
        "From-URI",
        "From-User",
        "Plan-Data",
        "Pre-Park",
        "Ringback-Media",
        "Route-Error-Code",
        "Route-Error-Message",
        "Routes",
        "Transfer-Media",
    ],
    kinds: &[
        (
            "Method",
            Kind::OneOf(&["bridge", "park", "error", "sms", "plan", "application"]),
        ),
        ("Pre-Park", Kind::OneOf(&["none", "ring_ready", "answer"])),
        ("Route-Error-Code", Kind::Text),
        ("Route-Error-Message", Kind::Text),
        ("Routes", Kind::Array),
        ("Custom-Application-Vars", Kind::Object),
        ("Custom-Channel-Vars", Kind::Object),
    ],
};

/// `switch_event`/`command`, to a switch.
pub(super) const SWITCH_COMMAND: Page = Page {
    name: "switch command",
    required: &["Command", "Args"],
    // Kazoo's own builder strips Delete-On-Success, ecallmgr reads it.
    optional: &["FreeSWITCH-Node", "Delete-On-Success"],
    kinds: &[
        ("Command", Kind::OneOf(&["send_http"])),
        ("Args", Kind::Object),
        ("FreeSWITCH-Node", Kind::Text),
        ("Delete-On-Success", Kind::Boolean),
    ],
};

/// The arguments of `send_http`.
pub(super) const SEND_HTTP: Page = Page {
    name: "Args of send_http",
    required: &["File-Name", "Url"],
    optional: &["Http-Method"],
    kinds: &[
        ("File-Name", Kind::Text),
        ("Url", Kind::Text),
        ("Http-Method", Kind::OneOf(&["put", "post"])),
    ],
};

/// `presence`/`mwi_update` and `mwi_unsolicited_update`.
pub(super) const MESSAGES_WAITING: Page = Page {
    name: "mwi_update",
    required: &["Messages-New", "Messages-Saved", "To"],
    optional: &[
        "Call-ID",
        "Expires",
        "Extended-Presence-ID",
        "From",
        "From-Realm",
        "From-User",
        "Message-Account",
        "Messages-Urgent",
        "Messages-Urgent-Saved",
        "Messages-Waiting",
        "Presence-ID",
        "To-Realm",
        "To-User",
    ],
    kinds: &[
        ("Messages-New", Kind::Integer),
        ("Messages-Saved", Kind::Integer),
        ("To", Kind::Text),
    ],
};

/// `nodes`/`advertise`. The last five are ours: whoever reads it takes what it knows.
pub(super) const ADVERTISE: Page = Page {
    name: "advertise",
    required: &["Expires"],
    optional: &[
        "Channels",
        "Globals",
        "Media-Servers",
        "Node-Info",
        "Ports",
        "Processes",
        "Registrations",
        "Used-Memory",
        "Version",
        "WhApps",
        "Zone",
        "Calls",
        "Owed",
        "Draining",
        "Spool",
        "Bus",
    ],
    kinds: &[
        ("Expires", Kind::Positive),
        ("WhApps", Kind::Object),
        ("Spool", Kind::Object),
        ("Bus", Kind::Object),
    ],
};

/// `notification`/`voicemail_new` and `voicemail_saved`.
pub(super) const MESSAGE_LEFT: Page = Page {
    name: "voicemail_new",
    required: &[
        "Account-ID",
        "From-Realm",
        "From-User",
        "To-Realm",
        "To-User",
        "Voicemail-Box",
        "Voicemail-ID",
        "Voicemail-Timestamp",
    ],
    optional: &[
        "Call-ID",
        "Caller-ID-Name",
        "Caller-ID-Number",
        "Voicemail-Length",
    ],
    kinds: &[
        ("Account-ID", Kind::Text),
        ("Voicemail-Box", Kind::Text),
        ("Voicemail-ID", Kind::Text),
        ("Voicemail-Timestamp", Kind::Integer),
        ("Voicemail-Length", Kind::Integer),
    ],
};

/// `notification`/`missed_call`.
pub(super) const CALL_MISSED: Page = Page {
    name: "missed_call",
    required: &["Account-ID", "Call-Bridged", "Call-ID", "Message-Left"],
    optional: &[
        "Caller-ID-Name",
        "Caller-ID-Number",
        "From-Realm",
        "From-User",
        "Notify",
        "Timestamp",
        "To",
        "To-Realm",
        "To-User",
    ],
    kinds: &[
        ("Account-ID", Kind::Text),
        ("Call-Bridged", Kind::Boolean),
        ("Call-ID", Kind::Text),
        ("Message-Left", Kind::Boolean),
        ("Notify", Kind::Object),
        ("Timestamp", Kind::Integer),
        ("To", Kind::Array),
    ],
};

/// `call_event`/`channel_status_req`, to every ecallmgr.
pub(super) const STATUS_REQ: Page = Page {
    name: "channel_status_req",
    required: &["Call-ID"],
    optional: &["Active-Only"],
    kinds: &[("Call-ID", Kind::Text), ("Active-Only", Kind::Boolean)],
};

const fn command(
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    kinds: &'static [(&'static str, Kind)],
) -> Page {
    Page {
        name,
        required,
        optional,
        kinds,
    }
}

/// The commands ecallmgr knows, of those a callflow sends.
pub(super) const COMMANDS: &[Page] = &[
    command("answer", &[], &[], &[]),
    command("ring", &[], &["Ringback"], &[]),
    command("progress", &[], &[], &[]),
    command(
        "hangup",
        &[],
        &["Hangup-Cause", "Other-Leg-Only"],
        &[
            ("Hangup-Cause", Kind::Text),
            ("Other-Leg-Only", Kind::Boolean),
        ],
    ),
    command(
        "respond",
        &["Response-Code"],
        &["Response-Message"],
        &[
            ("Response-Code", Kind::Text),
            ("Response-Message", Kind::Text),
        ],
    ),
    command(
        "play",
        &["Media-Name"],
        &[
            "Endless-Playback",
            "Format",
            "Group-ID",
            "Language",
            "Leg",
            "Loop-Count",
            "Terminators",
            "Voice",
        ],
        &[
            ("Leg", Kind::OneOf(&["A", "B", "Both"])),
            ("Endless-Playback", Kind::Boolean),
            ("Loop-Count", Kind::Positive),
            ("Terminators", Kind::Terminators),
        ],
    ),
    command(
        "say",
        &["Language", "Method", "Say-Text", "Type"],
        &["Group-ID"],
        &[
            (
                "Method",
                Kind::OneOf(&["none", "pronounced", "iterated", "counted"]),
            ),
            ("Type", Kind::OneOf(SAY_TYPES)),
        ],
    ),
    command(
        "playstop",
        &[],
        &[],
        &[("Insert-At", Kind::OneOf(&["now"]))],
    ),
    command("break", &[], &[], &[("Insert-At", Kind::OneOf(&["now"]))]),
    command(
        "tts",
        &["Text"],
        &[
            "Conference-ID",
            "Endless-Playback",
            "Engine",
            "Group-ID",
            "Language",
            "Leg",
            "Loop-Count",
            "Terminators",
            "Voice",
        ],
        &[
            ("Voice", Kind::OneOf(&["male", "female"])),
            ("Endless-Playback", Kind::Boolean),
            ("Loop-Count", Kind::Positive),
            ("Terminators", Kind::Terminators),
        ],
    ),
    command(
        "tones",
        &["Tones"],
        &["Conference-ID", "Group-ID", "Terminators"],
        &[("Tones", Kind::Objects), ("Terminators", Kind::Terminators)],
    ),
    command(
        "record",
        &["Media-Name"],
        &[
            "Silence-Hits",
            "Silence-Threshold",
            "Terminators",
            "Time-Limit",
        ],
        &[("Terminators", Kind::Terminators)],
    ),
    command(
        "record_call",
        &["Record-Action"],
        &[
            "Additional-Headers",
            "Channels-As-Stereo",
            "Follow-Transfer",
            "Media-Name",
            "Media-Recorder",
            "Media-Recording-Endpoint-ID",
            "Media-Recording-ID",
            "Media-Recording-Origin",
            "Media-Transfer-Destination",
            "Media-Transfer-Method",
            "Recording-Variables",
            "Record-Min-Sec",
            "Record-Sample-Rate",
            "Time-Limit",
        ],
        &[
            (
                "Record-Action",
                Kind::OneOf(&["start", "stop", "mask", "unmask"]),
            ),
            // It runs beside the other commands: queued, it would wait for the bridge.
            ("Insert-At", Kind::OneOf(&["now"])),
            ("Record-Sample-Rate", Kind::Integer),
            ("Recording-Variables", Kind::Object),
            ("Channels-As-Stereo", Kind::Boolean),
            ("Follow-Transfer", Kind::Boolean),
        ],
    ),
    command(
        "noop",
        &[],
        &["B-Leg-Events", "Filter-Applications"],
        &[
            ("B-Leg-Events", Kind::Array),
            ("Filter-Applications", Kind::Array),
        ],
    ),
    command("queue", &["Commands"], &[], &[("Commands", Kind::Objects)]),
    command(
        "set",
        &["Custom-Call-Vars", "Custom-Channel-Vars"],
        &["Custom-Application-Vars", "Export-All"],
        &[
            ("Custom-Application-Vars", Kind::Object),
            ("Custom-Channel-Vars", Kind::Object),
            ("Custom-Call-Vars", Kind::Object),
            ("Export-All", Kind::JsonBool),
        ],
    ),
    command("sleep", &["Time"], &[], &[]),
    command("park", &[], &["Hangup-Cause", "Timeout"], &[]),
    command(
        "bridge",
        &["Endpoints"],
        &[
            "Callee-ID-Name",
            "Callee-ID-Number",
            "Caller-ID-Name",
            "Caller-ID-Number",
            "Continue-On-Fail",
            "Custom-Application-Vars",
            "Custom-Channel-Vars",
            "Custom-SIP-Headers",
            "Dial-Endpoint-Method",
            "Fail-On-Single-Reject",
            "Hold-Media",
            "Ignore-Early-Media",
            "Ignore-Forward",
            "Media",
            "Ringback",
            "Timeout",
        ],
        &[
            ("Endpoints", Kind::Objects),
            (
                "Dial-Endpoint-Method",
                Kind::OneOf(&["single", "simultaneous"]),
            ),
            // A bypassed call cannot be recorded.
            ("Media", Kind::OneOf(&["process", "auto"])),
            ("Continue-On-Fail", Kind::JsonBool),
            ("Custom-Application-Vars", Kind::Object),
            ("Custom-Channel-Vars", Kind::Object),
            ("Custom-SIP-Headers", Kind::Object),
        ],
    ),
];

pub(super) const TONE: Page = Page {
    name: "a tone",
    required: &["Frequencies", "Duration-ON", "Duration-OFF"],
    optional: &["Volume", "Repeat"],
    kinds: &[("Frequencies", Kind::Array)],
};

pub(super) const ENDPOINT: Page = Page {
    name: "an endpoint",
    required: &["Invite-Format"],
    optional: &[
        "Bypass-Media",
        "Callee-ID-Name",
        "Callee-ID-Number",
        "Caller-ID-Name",
        "Caller-ID-Number",
        "Codecs",
        "Custom-Application-Vars",
        "Custom-Channel-Vars",
        "Custom-SIP-Headers",
        "Endpoint-Delay",
        "Endpoint-ID",
        "Endpoint-Progress-Timeout",
        "Endpoint-Timeout",
        "Endpoint-Type",
        "Failover",
        "Outbound-Call-ID",
        "Presence-ID",
        "Route",
        "To-DID",
        "To-Realm",
        "To-User",
        "To-Username",
    ],
    kinds: &[
        (
            "Invite-Format",
            Kind::OneOf(&[
                "username", "e164", "npan", "1npan", "route", "loopback", "contact",
            ]),
        ),
        ("Custom-SIP-Headers", Kind::Object),
        ("Custom-Application-Vars", Kind::Object),
        ("Custom-Channel-Vars", Kind::Object),
        ("Codecs", Kind::Array),
        ("Failover", Kind::Object),
        ("Bypass-Media", Kind::OneOf(&["false"])),
    ],
};
