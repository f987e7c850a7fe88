//! The registrar's rules, by example.

use rsipstack::sip::Transport;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn account(digit: char) -> AccountId {
    AccountId::parse(&digit.to_string().repeat(32)).unwrap()
}

fn contact(uri: &str, lifetime: Duration) -> Contact {
    Contact {
        uri: uri.try_into().unwrap(),
        instance: None,
        lifetime,
    }
}

fn registration(cseq: u32, contacts: Vec<Contact>) -> Registration {
    Registration {
        account: account('a'),
        username: "alice".to_owned(),
        realms: vec!["acme.example".to_owned()],
        device: "device1".to_owned(),
        owner: None,
        codecs: Vec::new(),
        peer: Peer {
            transport: Transport::Udp,
            addr: "192.0.2.7:5060".parse().unwrap(),
        },
        call_id: "reg-1".to_owned(),
        cseq,
        change: Change::Contacts(contacts),
    }
}

fn hosts(bindings: &[Binding]) -> Vec<String> {
    bindings
        .iter()
        .map(|b| b.contact.host_with_port.to_string())
        .collect()
}

#[test]
fn a_phone_is_found_until_it_expires() {
    let now = Instant::now();
    let mut location = Location::default();
    let one = registration(1, vec![contact("sip:alice@10.0.0.1:5060", HOUR)]);
    assert_eq!(location.register(now, &one).unwrap().len(), 1);
    let find = |location: &Location, at, realm| location.find(at, "Alice", realm, None).len();
    assert_eq!(find(&location, now, Some("ACME.example")), 1);
    assert_eq!(find(&location, now, None), 1);
    assert_eq!(find(&location, now, Some("other.example")), 0);
    assert_eq!(find(&location, now + HOUR, None), 0);
    assert_eq!(location.sweep(now + HOUR), 0);
}

#[test]
fn a_refresh_replaces_and_a_second_contact_joins() {
    let now = Instant::now();
    let mut location = Location::default();
    for (cseq, uri) in [
        (1, "sip:alice@10.0.0.1"),
        (2, "sip:alice@10.0.0.1"),
        (3, "sip:alice@10.0.0.2"),
    ] {
        let r = registration(cseq, vec![contact(uri, HOUR)]);
        location
            .register(now + Duration::from_secs(cseq.into()), &r)
            .unwrap();
    }
    let found = location.find(now, "alice", None, None);
    assert_eq!(hosts(&found), ["10.0.0.2", "10.0.0.1"]);
}

#[test]
fn the_same_instance_moves_instead_of_multiplying() {
    let now = Instant::now();
    let mut location = Location::default();
    for (cseq, uri) in [
        (1, "sip:alice@10.0.0.1:1000"),
        (2, "sip:alice@10.0.0.1:2000"),
    ] {
        let mut one = contact(uri, HOUR);
        one.instance = Some("<urn:uuid:1>".to_owned());
        location
            .register(now, &registration(cseq, vec![one]))
            .unwrap();
    }
    assert_eq!(
        hosts(&location.find(now, "alice", None, None)),
        ["10.0.0.1:2000"]
    );
}

#[test]
fn contacts_are_removed_one_by_one_or_all() {
    let now = Instant::now();
    let mut location = Location::default();
    let both = vec![
        contact("sip:alice@10.0.0.1", HOUR),
        contact("sip:alice@10.0.0.2", HOUR),
    ];
    location.register(now, &registration(1, both)).unwrap();
    let gone = registration(2, vec![contact("sip:alice@10.0.0.1", Duration::ZERO)]);
    assert_eq!(hosts(&location.register(now, &gone).unwrap()), ["10.0.0.2"]);
    let mut all = registration(3, Vec::new());
    all.change = Change::RemoveAll;
    assert_eq!(location.register(now, &all), Ok(Vec::new()));
    assert!(location.find(now, "alice", None, None).is_empty());
}

#[test]
fn an_overtaken_request_changes_nothing() {
    let now = Instant::now();
    let mut location = Location::default();
    location
        .register(
            now,
            &registration(5, vec![contact("sip:alice@10.0.0.1", HOUR)]),
        )
        .unwrap();
    let late = registration(4, vec![contact("sip:alice@10.0.0.1", Duration::ZERO)]);
    assert_eq!(location.register(now, &late), Err(Refusal::OutOfOrder));
    assert_eq!(location.find(now, "alice", None, None).len(), 1);
}

#[test]
fn contacts_are_bounded_and_too_many_change_nothing() {
    let now = Instant::now();
    let mut location = Location::default();
    let many = (0..=MAX_CONTACTS)
        .map(|n| contact(&format!("sip:alice@10.0.0.{n}"), HOUR))
        .collect();
    assert_eq!(
        location.register(now, &registration(1, many)),
        Err(Refusal::TooMany)
    );
    assert!(location.find(now, "alice", None, None).is_empty());
}

#[test]
fn accounts_do_not_see_each_others_phones() {
    let now = Instant::now();
    let mut location = Location::default();
    location
        .register(
            now,
            &registration(1, vec![contact("sip:alice@10.0.0.1", HOUR)]),
        )
        .unwrap();
    let mut other = registration(1, vec![contact("sip:alice@10.0.0.2", HOUR)]);
    other.account = account('b');
    other.realms = vec!["other.example".to_owned()];
    assert_eq!(
        hosts(&location.register(now, &other).unwrap()),
        ["10.0.0.2"]
    );
    let find = |realm, account| hosts(&location.find(now, "alice", realm, account));
    assert_eq!(find(Some("acme.example"), None), ["10.0.0.1"]);
    let other = account('b');
    assert_eq!(find(None, Some(other.as_str())), ["10.0.0.2"]);
    assert_eq!(find(None, None), Vec::<String>::new());
}

#[test]
fn the_newest_contact_takes_the_place_of_the_oldest() {
    let now = Instant::now();
    let mut location = Location::default();
    for n in 0..=MAX_CONTACTS {
        let from = format!("sip:alice@10.0.0.{n}");
        let cseq = u32::try_from(n).unwrap() + 1;
        let bindings = location.register(now, &registration(cseq, vec![contact(&from, HOUR)]));
        assert!(bindings.is_ok(), "contact {n}");
    }
    let found = location.find(now, "alice", None, None);
    assert_eq!(found.len(), MAX_CONTACTS);
    let oldest = found
        .iter()
        .any(|b| b.contact.to_string().contains("10.0.0.0"));
    assert!(!oldest, "the oldest made room");
}
