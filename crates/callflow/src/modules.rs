//! The callflow modules: one file, one doc page and one schema each, all of the same stem. Never walks from one to another.

mod after_bridge;
mod answer;
mod audio_macro;
mod branch_bnumber;
mod branch_variable;
mod call_forward;
mod callflow;
mod check_cid;
mod cidlistmatch;
mod collect_dtmf;
mod dead_air;
mod device;
mod directory;
mod do_not_disturb;
mod flush_dtmf;
mod group;
mod hangup;
mod language;
mod lookupcidname;
mod menu;
mod missed_call_alert;
mod noop;
mod offnet;
mod page_group;
mod park;
mod pivot;
mod play;
mod prepend_cid;
mod privacy;
mod record_call;
mod record_caller;
mod resources;
mod response;
mod ring_group;
mod ring_group_toggle;
mod route_to_cid;
mod say;
mod send_dtmf;
mod set_alert_info;
mod set_cid;
mod set_variable;
mod set_variables;
mod sleep;
mod temporal_route;
mod transfer;
mod tts;
mod user;
mod voicemail;
mod wait_for_hangup;
mod webhook;

use crate::stage::Module;

/// A module as the flow's author knows it.
struct Registered {
    name: &'static str,
    /// JSON Schema of its `data`.
    schema: &'static str,
    build: fn() -> Box<dyn Module>,
}

macro_rules! registered {
    ($($stem:ident: $module:ident),* $(,)?) => {
        const ALL: &[Registered] = &[$(Registered {
            name: stringify!($stem),
            schema: include_str!(concat!("../../../proto/callflow/", stringify!($stem), ".json")),
            build: || Box::new($stem::$module::default()),
        }),*];
    };
}

registered! {
    after_bridge: AfterBridge,
    answer: Answer,
    audio_macro: AudioMacro,
    branch_bnumber: BranchBnumber,
    branch_variable: BranchVariable,
    call_forward: CallForward,
    callflow: Callflow,
    check_cid: CheckCid,
    cidlistmatch: Cidlistmatch,
    collect_dtmf: CollectDtmf,
    dead_air: DeadAir,
    device: Device,
    directory: Directory,
    do_not_disturb: DoNotDisturb,
    flush_dtmf: FlushDtmf,
    group: Group,
    hangup: Hangup,
    language: Language,
    lookupcidname: Lookupcidname,
    menu: Menu,
    missed_call_alert: MissedCallAlert,
    noop: Noop,
    offnet: Offnet,
    page_group: PageGroup,
    park: Park,
    pivot: Pivot,
    play: Play,
    prepend_cid: PrependCid,
    privacy: Privacy,
    record_call: RecordCall,
    record_caller: RecordCaller,
    resources: Resources,
    response: Response,
    ring_group: RingGroup,
    ring_group_toggle: RingGroupToggle,
    route_to_cid: RouteToCid,
    say: Say,
    send_dtmf: SendDtmf,
    set_alert_info: SetAlertInfo,
    set_cid: SetCid,
    set_variable: SetVariable,
    set_variables: SetVariables,
    sleep: Sleep,
    temporal_route: TemporalRoute,
    transfer: Transfer,
    tts: Tts,
    user: User,
    voicemail: Voicemail,
    wait_for_hangup: WaitForHangup,
    webhook: Webhook,
}

/// The names of all modules, in alphabetical order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|module| module.name)
}

/// The JSON Schema (draft 2020-12) of a module's `data`.
pub(crate) fn schema(name: &str) -> Option<&'static str> {
    find(name).map(|module| module.schema)
}

/// A fresh module for one visit of one action.
pub(crate) fn build(name: &str) -> Option<(&'static str, Box<dyn Module>)> {
    find(name).map(|module| (module.name, (module.build)()))
}

fn find(name: &str) -> Option<&'static Registered> {
    ALL.iter().find(|module| module.name == name)
}
