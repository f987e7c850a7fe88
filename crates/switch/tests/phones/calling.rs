//! Calls into the switch: routing, answering, media commands, holds, ends.

use callreel_proto::RouteMethod;
use serde_json::json;

use crate::support::{ACCOUNT, Scene, sdp_with};

#[tokio::test]
async fn a_call_is_offered_answered_played_to_and_hung_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    let request = controller.claims().await;
    assert_eq!(request.call_id, call.call_id);
    assert_eq!(request.request, "2000@acme.test");
    assert_eq!(request.from, "alice@acme.test");
    assert_eq!(request.caller_id_name, "alice A.");
    for (key, value) in [
        ("Account-ID", ACCOUNT),
        ("Authorizing-ID", "device-alice"),
        ("Authorizing-Type", "device"),
        ("Owner-ID", "user-alice"),
    ] {
        assert_eq!(request.channel_var(key), Some(value), "{key}");
    }
    let id = &call.call_id;
    controller.event("CHANNEL_CREATE", id).await;
    controller.command(id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    assert_eq!(answer.status(), 200);
    let mut call = phone.ack(&call, &answer, "").await;
    controller.event("CHANNEL_ANSWER", id).await;
    controller.completion(id, "answer").await;

    let tone = json!({"Frequencies": ["440"], "Duration-ON": "200", "Duration-OFF": "0"});
    let commands = json!([
        {"Application-Name": "noop", "Msg-ID": "done"},
        {"Application-Name": "tones", "Tones": [tone]},
    ]);
    controller
        .command(id, "queue", json!({"Commands": commands}))
        .await;
    let (payload_type, payload) = phone.hear().await;
    assert_eq!((payload_type, payload.len()), (0, 160));
    controller.completion(id, "tones").await;
    let noop = controller.completion(id, "noop").await;
    assert_eq!(noop["Application-Response"], "done");

    phone.within(&mut call, "BYE", "", "").await;
    assert_eq!(phone.final_response().await.status(), 200);
    let end = controller.event("CHANNEL_DESTROY", id).await;
    assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
    assert_eq!(end["Hangup-Code"], "sip:200");
    assert_eq!(end["Custom-Channel-Vars"]["Account-ID"], ACCOUNT);
    assert!(scene.switch.picture().await.channels.is_empty());
}

#[tokio::test]
async fn a_call_nobody_wants_is_not_found_and_a_refused_one_gets_its_code() {
    let scene = Scene::with(|config| config.route_timeout_ms = 200).await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    let answer = phone.final_response().await;
    assert_eq!(answer.status(), 404);
    phone.ack(&call, &answer, "").await;

    let mut controller = scene.controller().await;
    let call = phone.dial("2001").await;
    let request = controller.asked().await;
    controller
        .respond(&request, |resp| {
            resp.method = RouteMethod::Error;
            resp.route_error_code = Some("486".to_owned());
            resp.route_error_message = Some("Not Now".to_owned());
        })
        .await;
    let answer = phone.final_response().await;
    assert_eq!(answer.start, "SIP/2.0 486 Not Now");
    phone.ack(&call, &answer, "").await;
    let end = controller.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(end["Hangup-Cause"], "USER_BUSY");
}

#[tokio::test]
async fn a_caller_who_gives_up_is_believed() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    controller.command(&call.call_id, "ring", json!({})).await;
    assert_eq!(phone.response().await.status(), 180);
    phone.cancel(&call).await;
    let statuses = [phone.final_response().await, phone.final_response().await];
    let mut codes: Vec<_> = statuses
        .iter()
        .map(|m| (m.header("CSeq").to_owned(), m.status()))
        .collect();
    codes.sort();
    assert_eq!(
        codes,
        [("2 CANCEL".to_owned(), 200), ("2 INVITE".to_owned(), 487)]
    );
    let end = controller.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(end["Hangup-Cause"], "ORIGINATOR_CANCEL");
    assert_eq!(end["Hangup-Code"], "sip:487");
}

#[tokio::test]
async fn a_prompt_before_the_answer_is_early_media_and_a_response_refuses() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    let media = json!({"Media-Name": "tone_stream://%(200,0,440)"});
    controller.command(id, "play", media).await;
    let early = phone.response().await;
    assert_eq!(early.status(), 183);
    assert_eq!(early.rtp().ip().to_string(), "127.0.0.1");
    phone.hear().await;
    controller.event("CHANNEL_PROGRESS_MEDIA", id).await;
    controller.completion(id, "play").await;
    let response = json!({"Response-Code": "480", "Response-Message": "Gone Fishing"});
    controller.command(id, "respond", response).await;
    let answer = phone.final_response().await;
    assert_eq!(answer.start, "SIP/2.0 480 Gone Fishing");
    phone.ack(&call, &answer, "").await;
    let end = controller.event("CHANNEL_DESTROY", id).await;
    assert_eq!(end["Hangup-Code"], "sip:480");
}

#[tokio::test]
async fn keys_end_a_playback_by_rtp_and_by_info() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    controller.command(id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    let mut call2 = phone.ack(&call, &answer, "").await;
    controller.completion(id, "answer").await;

    let endless = json!({"Media-Name": "tone_stream://%(1000,0,440)", "Endless-Playback": true, "Terminators": ["5", "#"]});
    controller.command(id, "play", endless.clone()).await;
    phone.hear().await;
    let info = "Content-Type: application/dtmf-relay\n";
    phone
        .within(&mut call2, "INFO", info, "Signal=4\r\nDuration=160\r\n")
        .await;
    assert_eq!(phone.final_response().await.status(), 200);
    phone
        .within(&mut call2, "INFO", info, "Signal=5\r\nDuration=160\r\n")
        .await;
    assert_eq!(phone.final_response().await.status(), 200);
    assert_eq!(controller.event("DTMF", id).await["DTMF-Digit"], "4");
    assert_eq!(controller.event("DTMF", id).await["DTMF-Digit"], "5");
    let done = controller.completion(id, "play").await;
    assert_eq!(done["DTMF-Digit"], "5");

    controller.command(id, "play", endless).await;
    phone.hear().await;
    for (n, end) in [(0u16, 0u8), (1, 0x80), (2, 0x80), (3, 0x80)] {
        let mut packet = vec![0x80, 101];
        packet.extend((100 + n).to_be_bytes());
        packet.extend([0, 0, 9, 0, 1, 2, 3, 4, 11, end | 10, 3, 0x20]);
        phone.rtp.send_to(&packet, answer.rtp()).await.unwrap();
    }
    assert_eq!(controller.event("DTMF", id).await["DTMF-Digit"], "#");
    assert_eq!(controller.completion(id, "play").await["DTMF-Digit"], "#");
}

#[tokio::test]
async fn a_flush_breaks_what_plays_and_drops_what_waits() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    let endless = json!({"Media-Name": "tone_stream://%(1000,0,440)", "Endless-Playback": true});
    controller.command(id, "play", endless).await;
    controller
        .command(id, "noop", json!({"Msg-ID": "never"}))
        .await;
    phone.hear().await;
    controller
        .command(
            id,
            "noop",
            json!({"Msg-ID": "at-once", "Insert-At": "flush"}),
        )
        .await;
    controller.completion(id, "play").await;
    let noop = controller.completion(id, "noop").await;
    assert_eq!(noop["Application-Response"], "at-once");
    controller.command(id, "hangup", json!({})).await;
    let answer = phone.final_response().await;
    assert_eq!(answer.status(), 480);
    phone.ack(&call, &answer, "").await;
    controller.event("CHANNEL_DESTROY", id).await;
    assert!(
        !controller
            .names()
            .iter()
            .any(|n| n.contains("EXECUTE_COMPLETE")),
        "{:?}",
        controller.names()
    );
}

#[tokio::test]
async fn what_cannot_be_played_is_an_error_with_the_commands_id() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    for name in [
        "http://example.test/a.mp3",
        &format!("/{ACCOUNT}/nothing"),
        "/system_media/no-such",
    ] {
        controller
            .command(id, "play", json!({"Media-Name": name, "Msg-ID": name}))
            .await;
        let error = controller.event("dialplan", id).await;
        assert_eq!(error["Event-Category"], "error");
        assert_eq!(error["Msg-ID"], name);
        assert_eq!(error["Request"]["Application-Name"], "play");
    }
    controller
        .command(id, "teleport", json!({"Msg-ID": "t"}))
        .await;
    let error = controller.event("dialplan", id).await;
    assert!(
        error["Error-Message"]
            .as_str()
            .unwrap()
            .contains("application unknown")
    );
    controller.command(id, "noop", json!({"Msg-ID": "n"})).await;
    controller.completion(id, "noop").await;
}

#[tokio::test]
async fn a_phone_can_hold_and_come_back_with_a_moved_stream() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    controller.command(id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    let mut call = phone.ack(&call, &answer, "").await;
    controller.completion(id, "answer").await;
    let rtp = phone.rtp.local_addr().unwrap();
    let content = "Content-Type: application/sdp\n";

    phone
        .within(
            &mut call,
            "INVITE",
            content,
            &sdp_with(rtp, "0 101", "sendonly"),
        )
        .await;
    let held = phone.final_response().await;
    assert!(held.body.contains("a=recvonly"), "{}", held.body);
    phone.ack(&call, &held, "").await;
    let hold = controller.event("CHANNEL_HOLD", id).await;
    assert_eq!(hold["Channel-Call-State"], "HELD");

    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let moved = sdp_with(other.local_addr().unwrap(), "8", "sendrecv");
    phone.within(&mut call, "INVITE", content, &moved).await;
    let resumed = phone.final_response().await;
    assert!(
        resumed.body.contains("a=sendrecv") && resumed.body.contains("RTP/AVP 8"),
        "{}",
        resumed.body
    );
    let version = |m: &crate::support::Message| {
        m.body
            .lines()
            .nth(1)
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(version(&resumed), version(&held) + 1);
    phone.ack(&call, &resumed, "").await;
    controller.event("CHANNEL_UNHOLD", id).await;
    controller
        .command(
            id,
            "play",
            json!({"Media-Name": "tone_stream://%(200,0,440)"}),
        )
        .await;
    let mut buffer = [0; 512];
    let heard = crate::support::soon("RTP at the new place", other.recv_from(&mut buffer)).await;
    assert_eq!((heard.unwrap().0, buffer[1] & 0x7f), (172, 8));

    phone
        .within(
            &mut call,
            "INVITE",
            content,
            &sdp_with(rtp, "18", "sendrecv"),
        )
        .await;
    let refused = phone.final_response().await;
    assert_eq!(refused.status(), 488);
    phone.ack(&call, &refused, "").await;
    assert_eq!(scene.switch.picture().await.channels[0].codec, Some("PCMA"));
}

#[tokio::test]
async fn a_call_without_an_offer_gets_ours_and_answers_in_its_ack() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial_with("2000", "", "").await;
    controller.claims().await;
    controller.command(&call.call_id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    assert!(
        answer.body.contains("m=audio") && answer.body.contains("PCMU"),
        "{}",
        answer.body
    );
    let rtp = phone.rtp.local_addr().unwrap();
    phone
        .ack(&call, &answer, &sdp_with(rtp, "8", "sendrecv"))
        .await;
    controller.completion(&call.call_id, "answer").await;
    controller
        .command(
            &call.call_id,
            "play",
            json!({"Media-Name": "tone_stream://%(400,0,440)"}),
        )
        .await;
    assert_eq!(phone.hear().await.0, 8);
}

#[tokio::test]
async fn a_session_timer_is_kept_and_a_hasty_one_refused() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let hasty = phone
        .dial_with(
            "2000",
            "Supported: timer\nSession-Expires: 30\n",
            &phone.sdp(),
        )
        .await;
    let refused = phone.final_response().await;
    assert_eq!((refused.status(), refused.header("Min-SE")), (422, "90"));
    phone.ack(&hasty, &refused, "").await;

    let call = phone
        .dial_with(
            "2000",
            "Supported: timer\nSession-Expires: 1800\n",
            &phone.sdp(),
        )
        .await;
    controller.claims().await;
    controller.command(&call.call_id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    assert_eq!(answer.header("Session-Expires"), "1800;refresher=uac");
    let mut call = phone.ack(&call, &answer, "").await;
    controller.completion(&call.call_id, "answer").await;
    phone
        .within(
            &mut call,
            "UPDATE",
            "Supported: timer\nSession-Expires: 1800;refresher=uac\n",
            "",
        )
        .await;
    let refreshed = phone.final_response().await;
    assert_eq!((refreshed.status(), refreshed.body.as_str()), (200, ""));
    assert_eq!(refreshed.header("Session-Expires"), "1800;refresher=uac");
}
