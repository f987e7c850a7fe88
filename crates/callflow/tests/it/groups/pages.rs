//! Pages: that they speak to all, and where the flow goes after.

use super::*;

#[test]
fn a_page_speaks_to_all_and_ends_the_flow() {
    let data = json!({"endpoints": [of("group", "all")], "audio": "two-way", "barge_calls": true});
    let mut talk = answered("page_group", data);
    found(&mut talk);
    assert_eq!(rung(&talk), ["desk+3", "mobile+3", "carols", "lobby"]);
    let effects = talk.last.as_ref().unwrap().effects.clone();
    let Some(Effect::Command {
        application: Application::Page(page),
        ..
    }) = effects.last()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(page.options.two_way_audio, Some(true));
    assert_eq!(
        page.custom_channel_vars["Auto-Answer-Suppress-Notify"],
        json!("false")
    );
    assert_eq!(page.timeout_s, Some(5));
    talk.done(30.0, "page");
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up members of group all
       at page_group (root)
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < page desk@acme.example after 3s, mobile@acme.example after 3s, carols@acme.example, lobby@acme.example, two-way
       wait until 3600s
    30s > CHANNEL_EXECUTE_COMPLETE page
       < hangup
       wait until 70s
    "#);
}

#[test]
fn a_page_that_reaches_nobody_goes_on() {
    let paging = || {
        let mut talk = answered("page_group", json!({"endpoints": [of("device", "lobby")]}));
        found(&mut talk);
        talk
    };
    let over = |response: &str, code: Option<&str>| {
        let mut talk = paging();
        talk.event(5.0, EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("page".to_owned());
            event.application_response = Some(response.to_owned());
            event.hangup_code = code.map(str::to_owned);
        });
        talk.text().to_owned()
    };
    assert!(over("USER_BUSY", None).contains("tts \"busy\""));
    assert!(over("NO_ROUTE_DESTINATION", Some("sip:404")).contains("tts \"unknown\""));
    assert!(over("NO_ANSWER", None).contains("tts \"nobody there\""));
    assert!(over("SUCCESS", None).contains("< hangup"));
    let mut talk = paging();
    talk.event(0.1, EventName::DialplanError, |event| {
        event.request = refused(json!({"Application-Name": "page"}));
    });
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn a_switch_that_does_not_say_how_a_page_went_is_not_waited_for_forever() {
    let data = json!({"endpoints": [of("device", "lobby")], "timeout": 10});
    let mut talk = Talk::through(&flow("page_group", data.clone()));
    found(&mut talk);
    talk.tick(29.9);
    assert!(!talk.text().contains("warn"), "{}", talk.text());
    talk.tick(30.0);
    assert!(talk.text().contains("warn"), "{}", talk.text());
    assert!(talk.text().contains("at tts /children/_"));

    let mut talk = Talk::through(&flow("page_group", data));
    found(&mut talk);
    talk.event(2.0, EventName::ChannelAnswer, |_| {});
    talk.tick(3601.9);
    assert!(!talk.text().contains("hangup"), "{}", talk.text());
    talk.tick(3602.0);
    assert!(talk.text().contains("< hangup"), "{}", talk.text());
}
