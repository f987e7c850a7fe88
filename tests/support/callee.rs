//! sipp as a callee, step by step, as [`super::sipp::Caller`] is a caller.

use super::sipp::{header, pause, sdp, send, stream};

/// Its own tag in every dialog.
const TAG: &str = ";tag=[call_number]callee";
/// The headers every answer repeats.
const REPEATED: &str = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n";

/// A callee's scenario, from the INVITE on.
pub(crate) struct Callee {
    text: String,
    cseq: u32,
}

impl Callee {
    /// Rings for so long.
    pub(crate) fn rings(ms: u32) -> Self {
        let mut callee = Self {
            text: header("callee"),
            cseq: 0,
        };
        callee.text += "<recv request=\"INVITE\" rrs=\"true\"><action><ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"CSeq:\" assign_to=\"1\"/><ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"2\"/><ereg regexp=\"&lt;.*&gt;\" search_in=\"hdr\" header=\"To:\" assign_to=\"3\"/></action></recv>\n<Reference variables=\"1,2,3\"/>\n";
        callee.answer("180 Ringing", "").waits(ms)
    }

    /// Lets the caller hear it before it answers.
    pub(crate) fn speaks_early(mut self) -> Self {
        let body = sdp("sendrecv");
        self = self.answer("183 Session Progress", &body);
        self
    }

    /// Answers.
    pub(crate) fn answers(self) -> Self {
        let body = sdp("sendrecv");
        let mut callee = self.answer("200 OK", &body);
        callee.text += "<recv request=\"ACK\" rtd=\"true\"/>\n";
        callee
    }

    /// Streams a file of µ-law from here on.
    pub(crate) fn streams(mut self, file: &str) -> Self {
        self.text += &stream(file);
        self
    }

    /// Lets time pass.
    pub(crate) fn waits(mut self, ms: u32) -> Self {
        if ms > 0 {
            self.text += &pause(ms);
        }
        self
    }

    /// Transfers the other party there (RFC 3515), and waits until it is let go.
    pub(crate) fn transfers_to(mut self, number: &str) -> Self {
        let headers =
            format!("Refer-To: <sip:{number}@[realm]>\nReferred-By: <sip:[me]@[realm]>\n");
        let refer = self.request("REFER", &headers, "");
        self.text += &send(&refer);
        self.text += "<recv response=\"202\"/>\n";
        self.awaits_bye()
    }

    /// Waits to be hung up on. Whoever has transferred is told before how that goes.
    pub(crate) fn awaits_bye(mut self) -> Self {
        let confirm = |then: u32| {
            let answer = send(&format!("SIP/2.0 200 OK\n{REPEATED}Content-Length: 0\n"));
            answer.replacen("<send>", &format!("<send next=\"{then}\">"), 1)
        };
        self.text += &format!(
            "<label id=\"7\"/>\n<recv request=\"NOTIFY\" optional=\"true\" next=\"8\"/>\n<recv request=\"BYE\"/>\n{}<label id=\"8\"/>\n{}<label id=\"9\"/>\n",
            confirm(9),
            confirm(7),
        );
        self
    }

    /// Hangs up and waits for the confirmation.
    pub(crate) fn hangs_up(mut self) -> Self {
        let bye = self.request("BYE", "", "");
        self.text += &send(&bye);
        self.text += "<recv response=\"200\"/>\n";
        self
    }

    /// The scenario's text.
    pub(crate) fn scenario(self) -> String {
        self.text + "</scenario>\n"
    }

    /// Answers the INVITE.
    fn answer(mut self, status: &str, body: &str) -> Self {
        let content = content(body);
        self.text += &send(&format!(
            "SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]{TAG}\n[last_Call-ID:]\n[last_CSeq:]\n[last_Record-Route:]\nContact: <sip:[me]@[local_ip]:[local_port];transport=[transport]>\n{content}"
        ));
        self
    }

    fn request(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        self.within(method, self.cseq, headers, body)
    }

    fn within(&self, method: &str, cseq: u32, headers: &str, body: &str) -> String {
        let content = content(body);
        format!(
            "{method} [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\nMax-Forwards: 70\nFrom: [$3]{TAG}\nTo: [$2]\nCall-ID: [call_id]\nCSeq: {cseq} {method}\nContact: <sip:[me]@[local_ip]:[local_port];transport=[transport]>\n{headers}{content}"
        )
    }
}

fn content(body: &str) -> String {
    if body.is_empty() {
        return "Content-Length: 0\n".to_owned();
    }
    format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}")
}
