//! The mission's four samples, with every role in a process of its own.

use super::nodes::whole;
use crate::{
    recording::{
        a_call, a_caller_alone, a_message, a_message_is_only_the_callers,
        both_voices_are_where_they_belong, caller_sample, encoded, kept, per_user, ring, start,
        stopped_flow,
    },
    support::{
        audio::listen,
        cluster::Cluster,
        estate::{ACCOUNT, CALLEE_USER, Estate},
        receiver::Receiver,
    },
};

#[test]
fn a_started_recording_has_both_voices() {
    let receiver = Receiver::start();
    let flow = start(&receiver.url("/recordings"), "mp3", ring(CALLEE_USER));
    let cluster = Cluster::start(&Estate::with_flow(&flow));
    let call_id = a_call(&cluster, 500, 3000);
    let path = format!("/recordings/call_recording_{}.mp3", encoded(&call_id));
    let heard = kept(&receiver.accepted(), &path, "audio/mpeg");
    assert_eq!((heard.codec.as_str(), heard.file_rate), ("mp3", 8000));
    both_voices_are_where_they_belong(&heard, 0.5, 3.0);
}

#[test]
fn a_stop_ends_the_recording_and_the_call_goes_on() {
    let receiver = Receiver::start();
    let flow = stopped_flow(&receiver.url("/r"), "wav");
    let cluster = Cluster::start(&Estate::with_flow(&flow));
    a_caller_alone(&cluster, 10.0);
    let heard = listen(&receiver.accepted().body);
    assert_eq!(heard.codec, "pcm_s16le");
    whole(&heard, 2.0);
}

#[test]
fn the_per_user_sample_records_an_answered_call_until_it_is_hung_up() {
    let receiver = Receiver::start();
    let cluster = Cluster::start(&Estate::with_flow(&per_user(&receiver, "mp3")));
    let call_id = encoded(&a_call(&cluster, 300, 2000));
    let path = format!("/{ACCOUNT}/{CALLEE_USER}/call_recording_{call_id}.mp3");
    let heard = kept(&receiver.accepted(), &path, "audio/mpeg");
    both_voices_are_where_they_belong(&heard, 0.3, 2.0);
}

#[test]
fn the_caller_sample_speaks_beeps_and_records_only_the_caller() {
    let receiver = Receiver::start();
    let cluster = Cluster::start(&Estate::with_flow(&caller_sample(&receiver, "mp3")));
    let (heard, spoken_s) = a_message(&cluster);
    a_message_is_only_the_callers(&heard, spoken_s, &receiver.accepted(), "mp3");
}
