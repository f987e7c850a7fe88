//! sipp as a caller, step by step, as [`super::callee::Callee`] is a callee.

use super::{
    estate::{CALLER, PASSWORD},
    sipp::{header, pause, sdp, send, stream},
};

/// A caller's scenario: dial, authenticate, then whatever `steps` add.
pub(crate) struct Caller {
    text: String,
    cseq: u32,
}

impl Caller {
    /// Alice dials a number and answers the challenge.
    pub(crate) fn dials(number: &str) -> Self {
        Self::of(CALLER, number)
    }

    /// A carrier hands a call on to a number, and is asked for nothing.
    pub(crate) fn hands_on(number: &str) -> Self {
        let mut caller = Self {
            text: header("trunk"),
            cseq: 1,
        };
        caller.send(&invite(number, 1, ""));
        caller.optional(&[100])
    }

    /// This user dials.
    pub(crate) fn of(user: &str, number: &str) -> Self {
        let mut caller = Self {
            text: header("caller"),
            cseq: 1,
        };
        caller.send(&invite(number, 1, ""));
        caller.push(
            "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"407\" auth=\"true\"/>\n",
        );
        caller.send(&ack(number, 1));
        caller.cseq = 2;
        let auth = format!("[authentication username={user} password={PASSWORD}]\n");
        caller.send(&invite(number, 2, &auth));
        caller.optional(&[100])
    }

    /// Further steps of a call that has come to this `CSeq`.
    pub(crate) fn goes_on(cseq: u32) -> Self {
        Self {
            text: String::new(),
            cseq,
        }
    }

    /// Accepts these provisional answers.
    fn optional(mut self, codes: &[u16]) -> Self {
        for code in codes {
            self.push(&format!("<recv response=\"{code}\" optional=\"true\"/>\n"));
        }
        self
    }

    /// Waits until the callee rings.
    pub(crate) fn rings(mut self) -> Self {
        self.push("<recv response=\"180\"/>\n");
        self
    }

    /// Waits for the answer and acknowledges it.
    pub(crate) fn answered(mut self, number: &str) -> Self {
        self = self.optional(&[180, 183]);
        self.push("<recv response=\"200\" rrs=\"true\"/>\n");
        let ack = in_dialog("ACK", number, self.cseq, "");
        self.send(&ack);
        self
    }

    /// Waits for this refusal and acknowledges it.
    pub(crate) fn refused(mut self, number: &str, code: u16) -> Self {
        self = self.optional(&[180, 183]);
        self.push(&format!("<recv response=\"{code}\"/>\n"));
        let ack = ack(number, self.cseq);
        self.send(&ack);
        self
    }

    /// Streams a file of µ-law from here on.
    pub(crate) fn streams(mut self, file: &str) -> Self {
        self.push(&stream(file));
        self
    }

    /// Lets time pass.
    pub(crate) fn waits(mut self, ms: u32) -> Self {
        self.push(&pause(ms));
        self
    }

    /// Hangs up and waits for the confirmation.
    pub(crate) fn hangs_up(mut self, number: &str) -> Self {
        self.cseq += 1;
        let bye = in_dialog("BYE", number, self.cseq, "");
        self.send(&bye);
        self.push("<recv response=\"200\"/>\n");
        self
    }

    /// Gives up before the answer.
    pub(crate) fn cancels(mut self, number: &str) -> Self {
        let cancel = format!(
            "CANCEL sip:{number}@[realm] SIP/2.0\n[last_Via:]\n{}CSeq: {} CANCEL\nContent-Length: 0\n",
            identity(number, ""),
            self.cseq
        );
        self.send(&cancel);
        self.push("<recv response=\"200\"/>\n<recv response=\"487\"/>\n");
        let ack = ack(number, self.cseq);
        self.send(&ack);
        self
    }

    /// Waits to be hung up on.
    pub(crate) fn awaits_bye(mut self) -> Self {
        self.push("<recv request=\"BYE\"/>\n");
        self.send("SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n");
        self
    }

    /// Sends a re-INVITE whose SDP has this direction, and waits for its answer.
    pub(crate) fn reinvites(mut self, number: &str, direction: &str) -> Self {
        self.cseq += 1;
        let body = sdp(direction);
        let invite = in_dialog("INVITE", number, self.cseq, &body);
        self.send(&invite);
        self.push(
            "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"200\" rrs=\"true\"/>\n",
        );
        let ack = in_dialog("ACK", number, self.cseq, "");
        self.send(&ack);
        self
    }

    /// Presses a key by SIP INFO, as older phones do, and waits until that is understood.
    pub(crate) fn presses_by_info(mut self, number: &str, key: char) -> Self {
        self.cseq += 1;
        let relay = "Content-Type: application/dtmf-relay\nContent-Length: [len]\n\n";
        let info = in_dialog("INFO", number, self.cseq, "");
        let info = info.replace("Content-Length: 0\n", relay);
        self.send(&format!("{info}Signal={key}\nDuration=160\n"));
        self.push("<recv response=\"200\"/>\n");
        self
    }

    /// The scenario's text.
    pub(crate) fn scenario(mut self) -> String {
        self.push("</scenario>\n");
        self.text
    }

    fn send(&mut self, message: &str) {
        self.text.push_str(&send(message));
    }

    fn push(&mut self, xml: &str) {
        self.text.push_str(xml);
    }
}

fn identity(number: &str, to_tag: &str) -> String {
    format!(
        "Max-Forwards: 70\nFrom: \"Alice\" <sip:[me]@[realm]>;tag=[call_number]caller\nTo: <sip:{number}@[realm]>{to_tag}\nCall-ID: [call_id]\n"
    )
}

fn invite(number: &str, cseq: u32, auth: &str) -> String {
    format!(
        "INVITE sip:{number}@[realm] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n{}CSeq: {cseq} INVITE\nContact: <sip:[me]@[local_ip]:[local_port];transport=[transport]>\n{auth}Content-Type: application/sdp\nContent-Length: [len]\n\n{}",
        identity(number, ""),
        sdp("sendrecv")
    )
}

/// The ACK of a refusal has the branch of the INVITE (RFC 3261 §17.1.1.3), which every answer to it repeats.
fn ack(number: &str, cseq: u32) -> String {
    format!(
        "ACK sip:{number}@[realm] SIP/2.0\n[last_Via:]\nMax-Forwards: 70\n[last_From:]\n[last_To:]\nCall-ID: [call_id]\nCSeq: {cseq} ACK\nContent-Length: 0\n"
    )
}

fn in_dialog(method: &str, number: &str, cseq: u32, body: &str) -> String {
    let content = if body.is_empty() {
        "Content-Length: 0\n".to_owned()
    } else {
        format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}")
    };
    format!(
        "{method} [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\n{}CSeq: {cseq} {method}\nContact: <sip:[me]@[local_ip]:[local_port];transport=[transport]>\n{content}",
        identity(number, "[peer_tag_param]")
    )
}
