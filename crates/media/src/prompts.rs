//! What Kazoo's system prompts say, for a switch that has no recorded ones: the words are ours, the ids are Kazoo's.

/// The English words of a prompt id such as `vm-record_message`; `None` for an id we do not know.
///
/// A language prefix (`en-us/vm-saved`) and a leading `/system_media/` are allowed and ignored.
pub fn prompt_text(id: &str) -> Option<&'static str> {
    let id = id.rsplit('/').next().unwrap_or(id);
    PROMPTS
        .binary_search_by_key(&id, |(known, _)| known)
        .ok()
        .map(|at| PROMPTS[at].1)
}

/// All words there are.
#[cfg(all(test, feature = "espeak"))]
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    PROMPTS.iter().map(|(_, text)| *text)
}

/// Sorted by id: looked up by binary search.
const PROMPTS: &[(&str, &str)] = &[
    ("agent-already_logged_in", "You are logged in already."),
    ("agent-invalid_choice", "That is not one of the choices."),
    ("agent-logged_in", "You are now logged in."),
    ("agent-logged_out", "You are now logged out."),
    ("agent-pause", "You are taking a break now."),
    ("agent-resume", "Your break is over."),
    ("cf-disabled", "Your calls are no longer forwarded."),
    (
        "cf-disabled_menu",
        "Your calls are not forwarded. Press one to forward them, two to change the number.",
    ),
    (
        "cf-enabled_menu",
        "Your calls are forwarded. Press one to stop that, two to change the number.",
    ),
    (
        "cf-enter_number",
        "Enter the number that should get your calls, then press pound.",
    ),
    ("cf-not_available", "Call forwarding cannot be used here."),
    ("cf-now_forwarded_to", "From now on your calls go to"),
    (
        "cf-unauthorized_call",
        "This phone may not call that number.",
    ),
    ("conf-alone", "Nobody else is here yet."),
    ("conf-bad_conf", "There is no conference of that number."),
    (
        "conf-enter_conf_number",
        "Enter the number of the conference, then press pound.",
    ),
    (
        "conf-enter_conf_pin",
        "Enter the pin of the conference, then press pound.",
    ),
    ("conf-joining_conference", "You are joining the conference."),
    ("conf-max_participants", "The conference is full."),
    ("conf-muted", "The others cannot hear you now."),
    ("conf-too_many_attempts", "That was tried too often."),
    ("conf-unmuted", "The others can hear you again."),
    ("conf-welcome", "Welcome to the conference."),
    ("cw-activated", "Call waiting is on."),
    ("cw-deactivated", "Call waiting is off."),
    ("dir-confirm_menu", "press one. To start over, press three."),
    (
        "dir-enter_person",
        "Spell the name of the person on your keypad.",
    ),
    (
        "dir-enter_person_firstname",
        "Spell the person's first name on your keypad.",
    ),
    (
        "dir-enter_person_lastname",
        "Spell the person's last name on your keypad.",
    ),
    (
        "dir-enter_person_name",
        "Spell the person's first or last name on your keypad.",
    ),
    ("dir-found", "To be connected to"),
    ("dir-invalid_key", "That is not one of the choices."),
    ("dir-no_more_results", "There is nobody else of that name."),
    ("dir-no_results_found", "Nobody of that name was found."),
    (
        "dir-result_menu",
        "press one. For the next person, press two. To start over, press three.",
    ),
    ("dir-result_number", "To be connected to"),
    (
        "dir-specify_minimum",
        "That was too short. A few more letters are needed.",
    ),
    ("disa-enter_pin", "Enter your pin, then press pound."),
    ("disa-invalid_extension", "That extension cannot be called."),
    ("disa-invalid_pin", "That pin is wrong."),
    ("disa-retries_exceeded", "That was tried too often."),
    ("dnd-activated", "Do not disturb is on."),
    ("dnd-deactivated", "Do not disturb is off."),
    (
        "dnd-not_available",
        "Do not disturb cannot be switched here.",
    ),
    (
        "fault-can_not_be_completed_as_dialed",
        "There is no such number. Check it and dial again.",
    ),
    (
        "fault-can_not_be_completed_at_this_time",
        "The call cannot go through right now. Try again later.",
    ),
    (
        "fault-facility_trouble",
        "A fault in the network stops this call. Try again later.",
    ),
    (
        "fault-too_many_invalid_entries",
        "That was wrong too often.",
    ),
    ("general-and", "and"),
    ("general-call-is-being-recorded", "This call is recorded."),
    ("general-goodbye", "Goodbye."),
    ("general-hello", "Hello."),
    ("general-thank_you", "Thank you."),
    ("hotdesk-abort", "That was wrong too often. Goodbye."),
    ("hotdesk-disabled", "Hot desking is not set up for you."),
    (
        "hotdesk-enter_id",
        "Enter your hot desk number, then press pound.",
    ),
    ("hotdesk-enter_pin", "Enter your pin, then press pound."),
    ("hotdesk-invalid_entry", "That was wrong."),
    ("hotdesk-logged_in", "This phone is yours now."),
    ("hotdesk-logged_out", "This phone is no longer yours."),
    (
        "ivr-group_confirm",
        "There is a call for your group. Press one to take it.",
    ),
    ("menu-exit", "Goodbye."),
    ("menu-invalid_entry", "That is not one of the choices."),
    ("menu-no_prompt", "Enter the extension you want."),
    ("menu-return", "Press zero to go back to the menu."),
    (
        "menu-transferring_call",
        "One moment, you are being connected.",
    ),
    (
        "park-already_in_use",
        "There is another call in that place.",
    ),
    ("park-call_placed_in_spot", "The call is parked in place"),
    ("park-no_caller", "There is no call in that place."),
    ("pickup-no_channels", "There is no ringing call to take."),
    ("queue-about_to_be_connected", "You are next."),
    ("queue-the_estimated_wait_time_is", "You will wait about"),
    ("queue-you_are_at_position", "You are number"),
    (
        "temporal-marked_disabled",
        "These opening hours are off until further notice.",
    ),
    (
        "temporal-marked_enabled",
        "These opening hours are on until further notice.",
    ),
    (
        "temporal-marker_reset",
        "The opening hours follow the clock again.",
    ),
    (
        "temporal-menu",
        "Press one to switch these opening hours on, two to switch them off, three to let them follow the clock.",
    ),
    ("vm-abort", "That was wrong too often. Goodbye."),
    ("vm-deleted", "The message is deleted."),
    (
        "vm-enter_forward_id",
        "Enter the number of the mailbox that should get the message, then press pound.",
    ),
    (
        "vm-enter_id",
        "Enter the number of your mailbox, then press pound.",
    ),
    (
        "vm-enter_new_pin",
        "Enter the pin you want, then press pound.",
    ),
    (
        "vm-enter_new_pin_confirm",
        "Enter it once more, then press pound.",
    ),
    ("vm-enter_pass", "Enter your pin, then press pound."),
    ("vm-fail_auth", "The mailbox or the pin is wrong."),
    ("vm-forward_abort", "The message was not passed on."),
    ("vm-goodbye", "Goodbye."),
    ("vm-greeting_intro", "Your greeting is"),
    (
        "vm-mailbox_full",
        "This mailbox is full and takes no more messages.",
    ),
    (
        "vm-main_menu",
        "Press one for new messages, two for saved ones, five for your settings, pound to leave.",
    ),
    (
        "vm-main_menu_not_configurable",
        "Press one for new messages, two for saved ones, pound to leave.",
    ),
    (
        "vm-message_menu",
        "Press one to keep the message, two to hear it again, three to pass it on, four for the one before, six for the next, seven to delete it, zero for the menu.",
    ),
    ("vm-message_number", "Message number"),
    ("vm-new_and", "new, and"),
    ("vm-new_message", "new message."),
    ("vm-new_messages", "new messages."),
    ("vm-new_pin_set", "Your new pin is set."),
    ("vm-no_access", "You may not use this mailbox from here."),
    ("vm-no_messages", "You have no messages."),
    ("vm-not_available", "cannot take your call."),
    (
        "vm-not_available_no_voicemail",
        "Nobody can take your call, and there is no mailbox to leave a message in. Please try again later.",
    ),
    ("vm-not_recorded", "No message was recorded."),
    ("vm-person", "The person at extension"),
    (
        "vm-person_not_available",
        "The person you call cannot take your call.",
    ),
    ("vm-pin_invalid", "That pin cannot be used."),
    ("vm-pin_set", "Your pin is set."),
    ("vm-received", "It came in on"),
    (
        "vm-record_greeting",
        "Speak your greeting after the tone, then press any key.",
    ),
    (
        "vm-record_message",
        "Please speak after the tone. When you are done, hang up, or press any key for more choices.",
    ),
    (
        "vm-record_name",
        "Say your name after the tone, then press any key.",
    ),
    (
        "vm-record_temp_greeting",
        "Speak your greeting for the time being after the tone, then press any key.",
    ),
    ("vm-recording_saved", "Your recording is saved."),
    ("vm-recording_to_short", "Your recording is too short."),
    (
        "vm-review_recording",
        "Press one to keep your recording, two to hear it, three to record it anew.",
    ),
    ("vm-saved", "Your message is saved."),
    ("vm-saved_message", "saved message."),
    ("vm-saved_messages", "saved messages."),
    (
        "vm-settings_menu",
        "Press one to record your greeting, two your name, three to change your pin, four to record a greeting for the time being, five to delete that, zero to go back.",
    ),
    ("vm-setup_complete", "Your mailbox is ready."),
    (
        "vm-setup_intro",
        "Welcome. Your mailbox needs a few settings first.",
    ),
    (
        "vm-setup_rec_greeting",
        "Now record a greeting for your callers.",
    ),
    ("vm-temporarily_unavailable", "is not there at the moment."),
    ("vm-thank_you", "Thank you. Goodbye."),
    ("vm-you_have", "You have"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_prompt_is_found() {
        assert!(PROMPTS.is_sorted_by(|a, b| a.0 < b.0));
        for (id, text) in PROMPTS {
            assert_eq!(prompt_text(id), Some(*text));
            assert!(!text.is_empty());
        }
    }

    #[test]
    fn paths_and_languages_before_the_id_are_ignored() {
        assert_eq!(
            prompt_text("/system_media/en-us/vm-saved"),
            prompt_text("vm-saved")
        );
        assert_eq!(prompt_text("vm-"), None);
        assert_eq!(prompt_text(""), None);
    }
}
