//! A dialplan command in one line.

use std::fmt::{self, Display, Formatter};

use callreel_proto::{Application, Endpoint, Terminators, TransferKind};

/// A command as people see it.
pub(super) struct Line<'a>(pub(super) &'a Application);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())?;
        match self.0 {
            Application::Hangup {
                hangup_cause: Some(cause),
                ..
            } => write!(f, " {}", cause.name()),
            Application::Respond { code, message } => {
                write!(f, " {code} {}", message.as_deref().unwrap_or_default())
            }
            Application::Play { .. }
            | Application::Tts { .. }
            | Application::Say { .. }
            | Application::Tones { .. } => print_sound(f, self.0),
            Application::Bridge { .. } => print_bridge(f, self.0),
            Application::Page(page) => {
                let two_way = page.options.two_way_audio == Some(true);
                let who: Vec<_> = page.endpoints.iter().map(print_endpoint).collect();
                let audio = if two_way { "two-way" } else { "one-way" };
                write!(f, " {}, {audio}", who.join(", "))
            }
            Application::Set { vars } => {
                let all = [&vars.channel, &vars.call, &vars.application];
                all.into_iter()
                    .flatten()
                    .try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
            Application::Transfer(transfer) => {
                let kind = match transfer.kind {
                    TransferKind::Blind => "blind",
                    TransferKind::Attended => "attended",
                };
                write!(f, " {kind} to {}", transfer.to)
            }
            Application::CallPickup(pickup) => write!(f, " {}", pickup.target_call_id),
            Application::Hold {
                media_name: Some(name),
            } => write!(f, " {name}"),
            _ => Ok(()),
        }
    }
}

/// What is heard, and which keys end it.
fn print_sound(f: &mut Formatter<'_>, sound: &Application) -> fmt::Result {
    match sound {
        Application::Play {
            media_name,
            terminators,
            endless,
            loop_count,
            leg: _,
        } => {
            write!(f, " {media_name}")?;
            if let Some(times) = loop_count {
                write!(f, " {times} times")?;
            }
            if *endless == Some(true) {
                f.write_str(" endlessly")?;
            }
            keys(f, terminators)
        }
        Application::Tts {
            text,
            voice,
            language,
            voice_name,
            engine,
            terminators,
            leg: _,
        } => {
            write!(f, " {text:?}")?;
            let how = [voice, voice_name, language];
            for word in how.into_iter().flatten() {
                write!(f, " {word}")?;
            }
            if let Some(engine) = engine {
                write!(f, " by {engine}")?;
            }
            keys(f, terminators)
        }
        Application::Say {
            text,
            kind,
            method,
            language,
            ..
        } => {
            write!(f, " {kind} {text:?}")?;
            let method = Some(method).filter(|method| *method != "pronounced");
            let words = [method, language.as_ref()];
            words
                .into_iter()
                .flatten()
                .try_for_each(|word| write!(f, " {word}"))
        }
        Application::Tones { tones, .. } => {
            for tone in tones {
                let ms = &tone.duration_on;
                write!(f, " {} Hz {ms} ms", tone.frequencies.join("+"))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Which keys end it.
pub(super) fn keys(f: &mut Formatter<'_>, terminators: &Terminators) -> fmt::Result {
    if *terminators == Terminators::any() {
        f.write_str(", any key ends it")
    } else if terminators.0.is_empty() {
        Ok(())
    } else {
        write!(f, ", {} ends it", terminators.0)
    }
}

fn print_bridge(f: &mut Formatter<'_>, bridge: &Application) -> fmt::Result {
    let Application::Bridge {
        endpoints,
        timeout_s,
        method,
        fail_on_single_reject,
        caller_id_name,
        caller_id_number,
        ..
    } = bridge
    else {
        return Ok(());
    };
    let who: Vec<_> = endpoints.iter().map(print_endpoint).collect();
    write!(f, " {}", who.join(", "))?;
    if let Some(s) = timeout_s {
        write!(f, " for {s}s")?;
    }
    if let Some(method) = method {
        write!(f, ", {method}")?;
    }
    if *fail_on_single_reject == Some(true) {
        f.write_str(", one refusal is enough")?;
    }
    let caller = [caller_id_name.as_deref(), caller_id_number.as_deref()];
    if caller.iter().any(Option::is_some) {
        let words: Vec<_> = caller.into_iter().flatten().collect();
        write!(f, ", from {}", words.join(" "))?;
    }
    Ok(())
}

fn print_endpoint(endpoint: &Endpoint) -> String {
    let mut text = match &endpoint.route {
        Some(number) if endpoint.invite_format == "loopback" => {
            let mut text = format!("the callflow of {number}");
            if endpoint.custom_channel_vars.contains_key("Confirm-Key") {
                text += " if confirmed";
            }
            text
        }
        Some(route) => route.clone(),
        None => format!(
            "{}@{}",
            endpoint.to_username.as_deref().unwrap_or("?"),
            endpoint.to_realm.as_deref().unwrap_or("?")
        ),
    };
    if let Some(user) = endpoint
        .to_user
        .as_ref()
        .filter(|u| Some(*u) != endpoint.to_username.as_ref())
    {
        text += &format!(" as {user}");
    }
    if let Some(s) = endpoint.delay_s {
        text += &format!(" after {s}s");
    }
    text
}
