//! Every key of the configuration, and what it means. Knows no value.

/// Every key of section `spool` and what it means.
const SPOOL_KEYS: &[(&str, &str)] = &[
    (
        "dir",
        "folder of tickets, journals and renditions; node.data/spool when absent",
    ),
    (
        "sync_interval_ms",
        "milliseconds between two syncs of the spool's file system: a power loss costs about as much audio",
    ),
    (
        "key_file",
        "file of age identities, from `callreel keys new`: journals and audio files in the spool are sealed to the first and opened with any (docs/encryption.md); not sealed when absent",
    ),
    (
        "refuse_recordings_percent",
        "new recordings are refused while less than this share of the disk is free, percent; 0 never",
    ),
    (
        "refuse_recordings_mb",
        "however large the disk is, recordings are taken while this much is free, MB",
    ),
    (
        "refuse_fetches_percent",
        "files of foreign switches are not fetched while less than this share is free, percent; 0 never",
    ),
    (
        "refuse_fetches_mb",
        "however large the disk is, they are fetched while this much is free, MB",
    ),
];

/// Every key of section `telemetry` and what it means.
const TELEMETRY_KEYS: &[(&str, &str)] = &[
    ("log", "log filter, as RUST_LOG (which wins when set)"),
    ("log_format", "text or json"),
    (
        "otlp_endpoint",
        "URL of a receiver of traces, metrics and log lines by OTLP over HTTP, such as http://collector:4318 (docs/tracing.md); nowhere when absent",
    ),
    (
        "otlp_ca_file",
        "PEM file of the authority that signed its certificate, beside the system's",
    ),
    (
        "otlp_headers",
        "HTTP headers it is sent, names and values, such as { Authorization = \"Bearer …\" }",
    ),
    (
        "trace_ratio",
        "share of calls whose trace is kept, 0 to 1; what a trace that came with a message says of itself counts for more",
    ),
    (
        "phone_numbers",
        "whether spans hold the telephone numbers of a call",
    ),
];

/// Every section with the meaning of every key.
pub(super) fn sections() -> [(&'static str, &'static [(&'static str, &'static str)]); 11] {
    [
        (
            "node",
            &[
                ("name", "name of this node on the bus, callreel@HOST"),
                ("data", "folder of the embedded store and the spool"),
                (
                    "roles",
                    "which of switch, calls, delivery, api run in this process",
                ),
                (
                    "drain_limit_s",
                    "seconds running calls are given to end after SIGTERM, while new ones are refused; Ctrl-C waits for none",
                ),
                (
                    "health_listen",
                    "address and port of /healthz and /readyz for supervisors, whatever the roles (docs/cluster.md); nowhere when absent",
                ),
            ],
        ),
        ("bus", callreel_bus::CONFIG_KEYS),
        (
            "store",
            &[
                (
                    "url",
                    "where documents and stored recordings are: \"embedded:\" is one database file in node.data; \
                     http(s)://USER:PASSWORD@HOST:PORT is a CouchDB, as Kazoo's",
                ),
                (
                    "ca_file",
                    "PEM file of the authority that signed CouchDB's certificate, beside the system's",
                ),
                (
                    "request_timeout_s",
                    "seconds a request to CouchDB may take; for an attachment, seconds it may stand still",
                ),
            ],
        ),
        ("spool", SPOOL_KEYS),
        ("switch", callreel_switch::CONFIG_KEYS),
        ("calls", callreel_calls::CALLS_CONFIG_KEYS),
        ("recording", callreel_calls::CONFIG_KEYS),
        ("delivery", callreel_delivery::CONFIG_KEYS),
        ("webhooks", callreel_delivery::WEBHOOKS_CONFIG_KEYS),
        ("api", callreel_api::CONFIG_KEYS),
        ("telemetry", TELEMETRY_KEYS),
    ]
}
