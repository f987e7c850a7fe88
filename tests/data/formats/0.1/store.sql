CREATE TABLE database (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE document (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    database INTEGER NOT NULL REFERENCES database (id),
    id TEXT NOT NULL,
    rev TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (database, id)
) STRICT;
CREATE TABLE entry (
    database INTEGER NOT NULL,
    view INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES document (seq) ON DELETE CASCADE,
    PRIMARY KEY (database, view, key, at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_of_document ON entry (document);
CREATE TABLE attachment (
    id INTEGER PRIMARY KEY,
    document INTEGER REFERENCES document (seq) ON DELETE CASCADE,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    length INTEGER NOT NULL,
    digest TEXT NOT NULL,
    revpos INTEGER NOT NULL,
    chunk_bytes INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    UNIQUE (document, name)
) STRICT;
CREATE TABLE chunk (
    attachment INTEGER NOT NULL REFERENCES attachment (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (attachment, number)
) STRICT;
INSERT INTO database VALUES (1, 'accounts');
INSERT INTO database VALUES (2, 'webhooks');
INSERT INTO database VALUES (3, 'account/01/23/456789abcdef0123456789abcdef');
INSERT INTO database VALUES (4, 'account/01/23/456789abcdef0123456789abcdef-202403');
INSERT INTO document VALUES (1, 1, 'account', '1-e2a8b7200bb93a5db2756d8ee70b5fda', '{"pvt_type":"account","name":"Acme","realm":"acme.example.com","pvt_api_key":"key"}');
INSERT INTO document VALUES (2, 2, 'hook', '1-7cc152688d623e109b92fa0bf7e9b330', '{"pvt_type":"webhook","pvt_account_id":"account"}');
INSERT INTO document VALUES (3, 3, 'flow', '1-a27bd14f9d44b4437b0c772c39954591', '{"pvt_type":"callflow","numbers":["2000"],"patterns":["^3"]}');
INSERT INTO document VALUES (4, 3, 'device', '1-f528f16e3d492b761379d165a617d569', '{"pvt_type":"device","owner_id":"user","sip":{"username":"Phone"}}');
INSERT INTO document VALUES (5, 3, 'box', '1-80db7561c3c354dd0d07a602f0898ddb', '{"pvt_type":"vmbox","mailbox":"1001","owner_id":"user"}');
INSERT INTO document VALUES (6, 3, 'entry', '1-30410a3efa3c8a0798b2597c147cc36c', '{"pvt_type":"list_entry","list_id":"list"}');
INSERT INTO document VALUES (7, 3, 'user', '1-f3ec65cef1237dc1aa8c7ef7df00ee59', '{"pvt_type":"user","directories":{"directory":"flow"}}');
INSERT INTO document VALUES (8, 4, 'message', '1-74573887ab01bfbc2abc81c78d8a3296', '{"pvt_type":"mailbox_message","source_id":"box","pvt_created":63876470400}');
INSERT INTO document VALUES (9, 4, '202403-00000000000000000000000000000001', '2-191c54f95997ae183bff6e4113cdbc8a', '{"pvt_type":"call_recording","owner_id":"user","pvt_created":63876470400}');
INSERT INTO entry VALUES (1, 5, 'acme.example.com', 0, 'account', 1);
INSERT INTO entry VALUES (1, 6, 'account', 0, 'account', 1);
INSERT INTO entry VALUES (1, 11, 'key', 0, 'account', 1);
INSERT INTO entry VALUES (1, 12, 'acme', 0, 'account', 1);
INSERT INTO entry VALUES (2, 6, 'webhook', 0, 'hook', 2);
INSERT INTO entry VALUES (2, 10, 'account', 0, 'hook', 2);
INSERT INTO entry VALUES (3, 1, '2000', 0, 'flow', 3);
INSERT INTO entry VALUES (3, 2, '', 0, 'flow', 3);
INSERT INTO entry VALUES (3, 6, 'callflow', 0, 'flow', 3);
INSERT INTO entry VALUES (3, 3, 'user', 0, 'device', 4);
INSERT INTO entry VALUES (3, 4, 'phone', 0, 'device', 4);
INSERT INTO entry VALUES (3, 6, 'device', 0, 'device', 4);
INSERT INTO entry VALUES (3, 6, 'vmbox', 0, 'box', 5);
INSERT INTO entry VALUES (3, 14, '1001', 0, 'box', 5);
INSERT INTO entry VALUES (3, 15, 'user', 0, 'box', 5);
INSERT INTO entry VALUES (3, 6, 'list_entry', 0, 'entry', 6);
INSERT INTO entry VALUES (3, 16, 'list', 0, 'entry', 6);
INSERT INTO entry VALUES (3, 6, 'user', 0, 'user', 7);
INSERT INTO entry VALUES (3, 17, 'directory', 0, 'user', 7);
INSERT INTO entry VALUES (4, 6, 'mailbox_message', 0, 'message', 8);
INSERT INTO entry VALUES (4, 13, 'box/new', 63876470400, 'message', 8);
INSERT INTO entry VALUES (4, 6, 'call_recording', 0, '202403-00000000000000000000000000000001', 9);
INSERT INTO entry VALUES (4, 7, '', 63876470400, '202403-00000000000000000000000000000001', 9);
INSERT INTO entry VALUES (4, 8, 'user', 63876470400, '202403-00000000000000000000000000000001', 9);
INSERT INTO attachment VALUES (473371769170285984, 9, 'call.mp3', 'audio/mpeg', 21, 'md5-KO4zsP2yasy7Z2euSi15jg==', 2, 524288, 1795496302887);
INSERT INTO chunk VALUES (473371769170285984, 0, x'6e6f742071756974652061207265636f7264696e67');
PRAGMA user_version = 4;
