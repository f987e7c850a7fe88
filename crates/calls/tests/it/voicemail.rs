//! Voicemail among neighbours: when a message becomes delivery's, what is done with stored ones, and who is told.

use callreel_bus::{Binding, Subscription};
use callreel_calls::CallsConfig;
use callreel_proto::{
    AccountDb, AccountId, Application, Envelope, EventName, Exchange, MwiQuery, MwiUpdate,
    Notification, RecordingFact, RecordingId, RecordingInfo, RecordingNotice, RecordingState, Utc,
    month_db,
};
use callreel_spool::{Ticket, TicketKind};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, CALL, PATIENCE, World, queue};

const BOX: &str = "b0000000000000000000000000000001";

fn account() -> AccountId {
    AccountId::parse(ACCOUNT).unwrap()
}

fn accounts() -> [(String, Value); 5] {
    let db = AccountDb::name(&account());
    let own = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test", "enabled": true});
    let device = |id: &str, name: &str, unasked: bool| {
        json!({
            "_id": id, "pvt_type": "device", "owner_id": "bob", "sip": {"username": name},
            "mwi_unsolicited_updates": unasked,
        })
    };
    [
        ("accounts".to_owned(), own.clone()),
        (db.clone(), own),
        (db.clone(), device("d1", "desk", true)),
        (db.clone(), device("d2", "quiet", false)),
        (
            db,
            json!({
                "_id": BOX, "pvt_type": "vmbox", "mailbox": "1001", "owner_id": "bob", "is_setup": true,
                "pin": "4711", "max_message_count": 0, "skip_greeting": true, "skip_instructions": true,
            }),
        ),
    ]
}

async fn world(data: Value) -> World {
    let flow = json!({"module": "voicemail", "data": data});
    let docs = accounts();
    let docs: Vec<(&str, Value)> = docs
        .iter()
        .map(|(db, d)| (db.as_str(), d.clone()))
        .collect();
    World::with(flow, CallsConfig::default(), &docs).await
}

async fn next<T: for<'a> serde::Deserialize<'a>>(queue: &mut Subscription) -> Envelope<T>
where
    Envelope<T>: Sized,
{
    let heard = tokio::time::timeout(PATIENCE, queue.recv()).await;
    let body = heard.expect("something is told").unwrap().body;
    serde_json::from_slice(&body).unwrap()
}

impl World {
    async fn has_answered(&self) {
        self.says(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("answer".to_owned());
        })
        .await;
    }

    async fn dials(&self, key: &str) {
        self.says(EventName::Dtmf, |event| {
            event.dtmf_digit = Some(key.to_owned());
        })
        .await;
    }

    /// The next command that is no marker, sound or saying, as its name says.
    async fn comes_to(&mut self, name: &str) -> Application {
        loop {
            let application = self.commanded().await;
            if application.name() == name {
                return application;
            }
        }
    }

    /// A caller speaks a message.
    async fn speaks(&mut self) -> (RecordingInfo, String) {
        self.give_call().await;
        assert_eq!(self.commanded().await, Application::Answer);
        self.has_answered().await;
        let Application::Record {
            media_name,
            recording_id,
            ..
        } = self.comes_to("record").await
        else {
            panic!("not a message");
        };
        let info = RecordingInfo {
            id: recording_id,
            name: Some(media_name.clone()),
            ..RecordingInfo::default()
        };
        for name in [EventName::RecordStart, EventName::RecordStop] {
            // The flow keeps what lasts half a second.
            let long = std::time::Duration::from_millis(600);
            tokio::time::sleep(long).await;
            self.is_recording(name, &info).await;
        }
        (info, media_name)
    }

    async fn is_recording(&self, name: EventName, info: &RecordingInfo) {
        self.says(name, |event| {
            event.recording = Some(info.clone());
            event.length_ms = (name == EventName::RecordStop).then_some(600);
        })
        .await;
    }

    /// The recordings that delivery does not look at yet.
    fn undecided(&self) -> Vec<Ticket> {
        let mut tickets = self.spool.view().tickets().unwrap();
        tickets.retain(|ticket| ticket.state() == RecordingState::Growing);
        tickets
    }
}

#[tokio::test]
async fn a_message_is_deliverys_only_when_its_speaker_keeps_it() {
    let mut world = world(json!({"id": BOX})).await;
    let (_, media_name) = world.speaks().await;
    // The menu is offered; nothing has ended for delivery.
    world.comes_to("noop").await;
    let growing = world.undecided();
    assert_eq!(growing.len(), 1);
    world.dials("2").await;
    let Application::Play {
        media_name: heard, ..
    } = world.comes_to("play").await
    else {
        panic!("nothing to hear");
    };
    assert_eq!(heard, format!("local_stream://{media_name}"));
    assert_eq!(world.undecided().len(), 1);
    world.dials("1").await;
    let notice = world.noticed(RecordingFact::Ended).await;
    let ticket = world.ticket_of(&notice);
    assert_eq!(ticket.state(), RecordingState::Ended);
    assert_eq!(ticket.promise().kind, TicketKind::Voicemail);
    assert_eq!(ticket.document()["source_id"], BOX);
}

#[tokio::test]
async fn what_its_speaker_takes_back_is_never_delivered() {
    let mut world = world(json!({"id": BOX})).await;
    world.speaks().await;
    world.comes_to("noop").await;
    world.dials("3").await;
    let notice = world.noticed(RecordingFact::Discarded).await;
    let gone = notice.recording_id.unwrap();
    assert!(world.spool.view().ticket(&gone).unwrap().is_none());
    world.comes_to("record").await;
    assert_eq!(world.undecided().len(), 1);
}

#[tokio::test]
async fn who_hangs_up_over_the_menu_has_left_the_message() {
    let mut world = world(json!({"id": BOX})).await;
    world.speaks().await;
    world.comes_to("noop").await;
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let notice = world.noticed(RecordingFact::Ended).await;
    assert_eq!(world.ticket_of(&notice).state(), RecordingState::Ended);
}

#[tokio::test]
async fn a_greeting_is_a_media_document_and_nobodys_if_its_speaker_hangs_up() {
    let data = json!({"id": BOX, "action": "check"});
    for keeps in [true, false] {
        let mut world = world(data.clone()).await;
        world.give_call().await;
        assert_eq!(world.commanded().await, Application::Answer);
        world.has_answered().await;
        for key in "4711#51".chars() {
            world.dials(&key.to_string()).await;
        }
        let Application::Record {
            media_name,
            recording_id,
            ..
        } = world.comes_to("record").await
        else {
            panic!("not a greeting");
        };
        let info = RecordingInfo {
            id: recording_id,
            name: Some(media_name),
            ..RecordingInfo::default()
        };
        for name in [EventName::RecordStart, EventName::RecordStop] {
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
            world.is_recording(name, &info).await;
        }
        world.comes_to("noop").await;
        if !keeps {
            world.says(EventName::ChannelDestroy, |_| {}).await;
            world.noticed(RecordingFact::Discarded).await;
            assert!(world.spool.view().tickets().unwrap().is_empty());
            continue;
        }
        world.dials("1").await;
        let notice = world.noticed(RecordingFact::Ended).await;
        let ticket = world.ticket_of(&notice);
        assert_eq!(ticket.promise().kind, TicketKind::Greeting);
        let doc = ticket.document();
        assert_eq!(doc["name"], "mailbox 1001 unavailable greeting");
        assert_eq!(
            doc["used_by"],
            json!({"id": BOX, "pointer": "/media/unavailable"})
        );
    }
}

/// A message that is stored, in this folder.
async fn stored(world: &World, folder: &str) -> RecordingId {
    let id = RecordingId::random(Utc::now());
    let doc = json!({
        "_id": id, "pvt_type": "mailbox_message", "source_id": BOX, "media_filename": "m.mp3",
        "metadata": {
            "folder": folder, "media_id": id, "call_id": CALL, "from": "alice@acme.test", "to": "1001@acme.test",
            "length": 2000, "timestamp": Utc::now().gregorian_seconds(), "caller_id_number": "1002",
        },
    });
    world
        .store
        .save(&month_db(&account(), id.month()), doc)
        .await
        .unwrap();
    id
}

async fn folder_of(world: &World, id: &RecordingId) -> Value {
    let db = month_db(&account(), id.month());
    let doc = world.store.get(&db, id.as_str()).await.unwrap().unwrap();
    doc["metadata"]["folder"].clone()
}

async fn delivered(world: &World, id: &RecordingId) {
    let notice = RecordingNotice {
        recording_id: Some(id.clone()),
        ..RecordingNotice::new(
            RecordingFact::Delivered,
            account(),
            callreel_proto::CallId::new(CALL),
        )
    };
    let key = notice.routing_key();
    let bytes = notice.into_envelope().to_bytes();
    world
        .bus
        .publish(Exchange::Kapps, &key, bytes)
        .await
        .unwrap();
}

#[tokio::test]
async fn people_and_phones_are_told_of_a_message_once_it_is_stored() {
    let world = world(json!({"id": BOX})).await;
    let people = vec![Binding::new(Exchange::Notifications, Notification::ALL)];
    let mut people = queue(&world.bus, &people).await;
    let phones = [MwiUpdate::ASKED, MwiUpdate::UNASKED];
    let phones = phones.map(|key| Binding::new(Exchange::Presence, key));
    let mut phones = queue(&world.bus, &phones).await;
    let id = stored(&world, "new").await;
    delivered(&world, &id).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        let update = next::<MwiUpdate>(&mut phones).await;
        assert_eq!((update.body.new, update.body.saved), (1, 0));
        told.push((update.body.to, update.headers.event_name));
    }
    let expected = [
        ("1001@acme.test", "mwi_update"),
        ("desk@acme.test", "mwi_update"),
        ("desk@acme.test", "mwi_unsolicited_update"),
        ("quiet@acme.test", "mwi_update"),
    ];
    assert_eq!(
        told,
        expected.map(|(to, name)| (to.to_owned(), name.to_owned()))
    );
    for name in ["voicemail_new", "voicemail_saved"] {
        let notification = next::<Notification>(&mut people).await;
        assert_eq!(notification.headers.event_name, name);
        let said = notification.body;
        assert_eq!(said.voicemail_box.as_deref(), Some(BOX));
        assert_eq!(said.voicemail_id.as_deref(), Some(id.as_str()));
        assert_eq!(said.voicemail_length_ms, Some(2000));
        assert_eq!(said.from_user.as_deref(), Some("alice"));
        assert_eq!(said.caller_id_number.as_deref(), Some("1002"));
    }
}

#[tokio::test]
async fn a_message_that_was_mailed_is_put_away_as_the_box_says() {
    for (wish, status, folder) in [
        ("delete_after_notify", "completed", "deleted"),
        ("save_after_notify", "completed", "saved"),
        ("delete_after_notify", "failed", "new"),
    ] {
        let world = world(json!({"id": BOX})).await;
        let set = [(format!("/{wish}"), json!(true))];
        let db = AccountDb::name(&account());
        world.store.change(&db, BOX, &set).await.unwrap();
        let people = vec![Binding::new(Exchange::Notifications, Notification::ALL)];
        let mut people = queue(&world.bus, &people).await;
        let phones = vec![Binding::new(Exchange::Presence, MwiUpdate::ASKED)];
        let mut phones = queue(&world.bus, &phones).await;
        let id = stored(&world, "new").await;
        delivered(&world, &id).await;
        let asked = next::<Notification>(&mut people).await;
        for status in ["pending", status] {
            let reply = json!({
                "Event-Category": "notification", "Event-Name": "notify_update", "Status": status,
                "App-Name": "teletype", "App-Version": "4.3", "Msg-ID": asked.headers.msg_id,
            });
            let to = asked.headers.server_id.as_deref().unwrap();
            let bytes = bytes::Bytes::from(serde_json::to_vec(&reply).unwrap());
            world.bus.send(Exchange::Targeted, to, bytes).await.unwrap();
        }
        if folder != "new" {
            // Told twice: when it came, and when it was put away.
            for _ in 0..6 {
                next::<MwiUpdate>(&mut phones).await;
            }
        }
        assert_eq!(folder_of(&world, &id).await, folder);
    }
}

#[tokio::test]
async fn whoever_asks_how_many_messages_wait_is_told() {
    let world = world(json!({"id": BOX})).await;
    stored(&world, "new").await;
    stored(&world, "saved").await;
    stored(&world, "deleted").await;
    let phones = vec![Binding::new(Exchange::Presence, MwiUpdate::ASKED)];
    let mut phones = queue(&world.bus, &phones).await;
    for username in ["nobody", "1001", "desk"] {
        let query = MwiQuery {
            username: username.to_owned(),
            realm: "acme.test".to_owned(),
        };
        let key = query.routing_key();
        let bytes = query.into_envelope().to_bytes();
        world
            .bus
            .publish(Exchange::Presence, &key, bytes)
            .await
            .unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..2 {
        let update = next::<MwiUpdate>(&mut phones).await.body;
        told.push((update.to, update.new, update.saved));
    }
    told.sort();
    let expected = ["1001@acme.test", "desk@acme.test"].map(|to| (to.to_owned(), 1, 1));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_message_is_listened_to_forwarded_and_deleted() {
    let mut world = world(json!({"id": BOX, "action": "check"})).await;
    let db = AccountDb::name(&account());
    let other = json!({"_id": "other", "pvt_type": "vmbox", "mailbox": "1002"});
    world.store.save(&db, other).await.unwrap();
    let id = stored(&world, "new").await;
    let month = month_db(&account(), id.month());
    let audio = futures::stream::iter([Ok(bytes::Bytes::from_static(b"audio"))]);
    world
        .store
        .put_attachment(&month, id.as_str(), "m.mp3", "audio/mpeg", 5, audio)
        .await
        .unwrap();
    world.give_call().await;
    assert_eq!(world.commanded().await, Application::Answer);
    world.has_answered().await;
    for key in "4711#1".chars() {
        world.dials(&key.to_string()).await;
    }
    let heard = format!("/{ACCOUNT}/{id}");
    loop {
        if let Application::Play { media_name, .. } = world.comes_to("play").await
            && media_name == heard
        {
            break;
        }
    }
    for key in "31002#".chars() {
        world.dials(&key.to_string()).await;
    }
    let other = async {
        while world
            .store
            .message_counts(&month, "other")
            .await
            .unwrap()
            .new
            == 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, other).await.unwrap();
    let copied = async {
        while folder_of(&world, &id).await != "saved" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, copied).await.unwrap();
    let folder = callreel_store::MailboxFolder {
        mailbox: "other".to_owned(),
        folder: "new".to_owned(),
        limit: 9,
    };
    let view = callreel_store::View::MailboxFolder(folder);
    let found = world.store.query(&month, view).await.unwrap();
    assert_eq!(found[0]["history"], json!([BOX]));
    assert_eq!(found[0]["_attachments"]["m.mp3"]["length"], 5);
    for key in "27".chars() {
        world.dials(&key.to_string()).await;
    }
    let deleted = async {
        while folder_of(&world, &id).await != "deleted" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, deleted).await.unwrap();
}
