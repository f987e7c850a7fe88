//! A scripted ecallmgr with its FreeSWITCH: plays an existing Kazoo, 4.3 or 5.0, to the program under test. Written from Kazoo's
//! wire, it shares no code with the program; what the program says against Kazoo's rules fails the test.

mod book;
mod control;
mod executor;
mod hearing;
mod pages;
mod script;
mod shape;
mod stepswitch;
mod tape;
mod wire;
mod world;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use self::{
    control::text,
    wire::{Ear, Wire, enc},
    world::World,
};
use super::eventually;

pub(crate) use self::{
    script::Dial,
    shape::Tree,
    tape::{CALLEE_HZ, End, Transfer, upload},
    world::{Quirks, Upload},
};

/// So much may be waiting to be published: no script says more at once.
const ORDERS: usize = 10_000;

/// A word nobody else has.
fn word() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(0))
}

/// The peer; it leaves the broker when dropped, and fails a test whose program broke the rules.
pub(crate) struct Ecallmgr {
    world: Arc<Mutex<World>>,
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Ecallmgr {
    /// Joins the broker, as the first or as the last.
    pub(crate) fn join(url: &str, tree: Tree) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let world = Arc::new_cyclic(|this| Mutex::new(World::new(tree, this.clone(), &word())));
        let peer = Self {
            world,
            url: url.to_owned(),
            runtime,
        };
        peer.rejoins();
        peer
    }

    /// Is cut off from the broker, while its switch goes on.
    pub(crate) fn is_cut_off(&self) {
        self.lock().orders = None;
    }

    /// Joins the broker again, under the names it had.
    pub(crate) fn rejoins(&self) {
        let this = Arc::downgrade(&self.world);
        let hear: wire::Hear = Arc::new(move |incoming| {
            if let Some(world) = this.upgrade() {
                let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
                world.hear(&incoming);
            }
        });
        let ears = self.lock().ears();
        let wire = self.runtime.block_on(async {
            let wire = Wire::open(&self.url, hear).await;
            for ear in ears {
                wire.open_queue(ear).await;
            }
            wire.spy(format!("spy-{}", word())).await;
            wire
        });
        let (orders, to_do) = mpsc::channel(ORDERS);
        self.lock().orders = Some(orders);
        self.runtime.spawn(wire.work(to_do));
    }

    /// Declares all exchanges once more, as a Kazoo that comes later does: a wrong flag of anybody is refused.
    pub(crate) fn declares_again(&self) {
        let deaf: wire::Hear = Arc::new(|_| {});
        self.runtime.block_on(Wire::open(&self.url, deaf));
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it differs from a tidy peer, from now on.
    pub(crate) fn behaves(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.lock().quirks);
    }

    /// How the next uploads go, one after the other.
    pub(crate) fn transfers(&self, script: &[Transfer]) {
        self.lock().transfers.extend(script);
    }

    /// Lets time pass on the switch. Where nobody says how long anything took, clocks measure it, and it has to pass.
    pub(crate) fn passes_ms(&self, ms: u64) {
        let mut world = self.lock();
        world.now_us += ms * 1000;
        let sparing = world.quirks.sparing;
        drop(world);
        if sparing {
            std::thread::park_timeout(Duration::from_millis(ms));
        }
    }

    /// A caller dials.
    pub(crate) fn dials(&self, dial: &Dial) -> Call<'_> {
        let id = self.lock().dial(dial);
        Call { peer: self, id }
    }

    /// A caller dials a number of the test account and is parked for its controller.
    pub(crate) fn call(&self, number: &str) -> Call<'_> {
        let call = self.dials(&Dial::to(number));
        call.is_won();
        call
    }

    /// The uploads the switch has done, once there are so many and each has its answer.
    pub(crate) fn uploads(&self, count: usize) -> Vec<Upload> {
        eventually(&format!("{count} uploads"), || {
            let uploads = self.lock().uploads.clone();
            let done = uploads
                .iter()
                .filter(|upload| !upload.statuses.is_empty())
                .count();
            (done >= count).then_some(uploads)
        })
    }

    /// The file a command ordered, as it lies on the switch.
    pub(crate) fn file_of(&self, command: &Map<String, Value>) -> Vec<u8> {
        let name = text(command, "Media-Name").expect("a command to record");
        let world = self.lock();
        let (_, file) = world
            .disk
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .expect("recorded");
        file.clone()
    }

    /// The program's own notices of this name so far.
    pub(crate) fn notices(&self, name: &str) -> Vec<Map<String, Value>> {
        let world = self.lock();
        let named = world
            .notices
            .iter()
            .filter(|notice| text(notice, "Event-Name") == Some(name));
        named.cloned().collect()
    }
}

impl World {
    fn ears(&self) -> Vec<Ear> {
        let switch = format!("switch.command.{}", enc(shape::SWITCH));
        // 4.3 has a queue for each controlled call.
        let controls = self.calls.values().map(|call| &call.control_address);
        let of_calls = controls.filter(|name| self.tree == Tree::V43 && !name.is_empty());
        let ear = |name: &String| Ear {
            name: name.clone(),
            bindings: vec![("callctl", name.clone())],
        };
        let of_calls: Vec<Ear> = of_calls.map(ear).collect();
        let mut ears = vec![
            Ear {
                name: self.asking.clone(),
                bindings: Vec::new(),
            },
            ear(&self.controlling),
            Ear {
                name: self.commanding.clone(),
                bindings: vec![("switch", switch)],
            },
        ];
        ears.extend(of_calls);
        ears
    }
}

impl Drop for Ecallmgr {
    fn drop(&mut self) {
        let faults = std::mem::take(&mut self.lock().faults);
        if !faults.is_empty() {
            let said = format!("said against Kazoo's rules:\n  {}", faults.join("\n  "));
            assert!(std::thread::panicking(), "{said}");
            eprintln!("{said}");
        }
    }
}

/// A call the peer's switch holds.
pub(crate) struct Call<'a> {
    peer: &'a Ecallmgr,
    pub(crate) id: String,
}

impl Call<'_> {
    fn world(&self) -> MutexGuard<'_, World> {
        self.peer.lock()
    }

    /// Waits for the answer to its request.
    pub(crate) fn offer(&self) -> Map<String, Value> {
        eventually(&format!("{} is wanted by somebody", self.id), || {
            self.world().calls[&self.id].offers.first().cloned()
        })
    }

    /// How many answers there were.
    pub(crate) fn offers(&self) -> usize {
        self.world().calls[&self.id].offers.len()
    }

    /// Waits until it has a controller; in 5.0 it comes to its park here.
    pub(crate) fn is_won(&self) {
        self.offer();
        let mut world = self.world();
        if world.tree == Tree::V50 && world.calls[&self.id].controller.is_none() {
            world.win(&self.id);
        }
        drop(world);
        eventually(&format!("{} is won", self.id), || {
            self.world().calls[&self.id].controller.clone()
        });
    }

    /// The script gives it to whoever wanted it.
    pub(crate) fn win(&self) {
        self.offer();
        self.world().win(&self.id);
    }

    /// Its request again, as another application of Kazoo sends it on; with another answerer it is another request.
    pub(crate) fn asks_again(&self, application: &str, account: &str, vars: &Value) {
        let mut world = self.world();
        let call = world.calls.get_mut(&self.id).expect("it is there");
        call.request
            .insert("App-Name".to_owned(), json!(application));
        let all = call.request["Custom-Channel-Vars"]
            .as_object_mut()
            .expect("an object");
        all.insert("Account-ID".to_owned(), json!(account));
        all.extend(vars.as_object().cloned().unwrap_or_default());
        let request = call.request.clone();
        world.ask(Some(account), request);
    }

    /// It is sent to a number again, by a transfer: the same channel, another fetch.
    pub(crate) fn comes_back(&self, number: &str) {
        self.world().call_again(&self.id, number);
    }

    /// Everybody hears how the bridge of an earlier session ended.
    pub(crate) fn bridge_is_over(&self, cause: &str) {
        self.world().bridge_is_over(&self.id, cause);
    }

    /// From here on nobody may say anything about it.
    pub(crate) fn hush(&self) {
        self.world()
            .calls
            .get_mut(&self.id)
            .expect("it is there")
            .hushed = true;
    }

    /// Waits for the next command in its turn; it must be this one. `set` and `record_call` run beside the others.
    pub(crate) fn runs(&self, name: &str) -> Map<String, Value> {
        let command = self.next(name);
        let found = text(&command, "Application-Name").unwrap_or_default();
        assert_eq!(found, name, "{command:?}");
        command
    }

    fn next(&self, wanted: &str) -> Map<String, Value> {
        let beside = ["set", "record_call"];
        self.takes(
            wanted,
            |call| &mut call.seen,
            |command| !beside.contains(&text(command, "Application-Name").unwrap_or_default()),
        )
    }

    /// Waits for a command in its turn, whatever is begun before it, and gives the names of those too.
    pub(crate) fn runs_to(&self, name: &str) -> (Vec<String>, Map<String, Value>) {
        let mut before = Vec::new();
        loop {
            let command = self.next(name);
            match text(&command, "Application-Name").unwrap_or_default() {
                found if found == name => return (before, command),
                other => before.push(other.to_owned()),
            }
        }
    }

    /// Waits for the next `record_call`; it must ask for this.
    pub(crate) fn records(&self, action: &str) -> Map<String, Value> {
        let command = self.takes(
            action,
            |call| &mut call.recorded,
            |command| text(command, "Application-Name") == Some("record_call"),
        );
        assert_eq!(text(&command, "Record-Action"), Some(action), "{command:?}");
        command
    }

    fn takes(
        &self,
        wanted: &str,
        place: impl Fn(&mut world::Call) -> &mut usize,
        fits: impl Fn(&Map<String, Value>) -> bool,
    ) -> Map<String, Value> {
        eventually(&format!("{}: {wanted}", self.id), || {
            let mut world = self.world();
            let call = world.calls.get_mut(&self.id)?;
            let seen = *place(call);
            let found = call.executed.iter().skip(seen).position(&fits)? + seen;
            *place(call) = found + 1;
            Some(call.executed[found].clone())
        })
    }

    /// The caller's voice in the file that a command ordered.
    pub(crate) fn hz_of(&self, command: &Map<String, Value>) -> f32 {
        let name = text(command, "Media-Name").expect("a command to record");
        self.world().voices[name]
    }

    /// Every command that was begun, in order.
    pub(crate) fn commands(&self) -> Vec<Map<String, Value>> {
        self.world().calls[&self.id].executed.clone()
    }

    /// Waits until its controller has hung it up.
    pub(crate) fn is_hung_up(&self) {
        eventually(&format!("{} is hung up", self.id), || {
            self.world().channels[&self.id].gone.then_some(())
        });
    }

    /// Waits until somebody asks whether its channel is there.
    pub(crate) fn is_asked_after(&self) {
        eventually(&format!("{} is asked after", self.id), || {
            (self.world().calls[&self.id].questions > 0).then_some(())
        });
    }

    /// Whether its channel is still there.
    pub(crate) fn is_alive(&self) -> bool {
        !self.world().channels[&self.id].gone
    }

    /// The callee picks up.
    pub(crate) fn callee_answers(&self) {
        self.world().callee_answers(&self.id);
    }

    /// The callee leaves, or refuses, or is never reached.
    pub(crate) fn callee_goes(&self, cause: &str) {
        self.world().callee_goes(&self.id, cause);
    }

    /// The caller hangs up, before or after the answer.
    pub(crate) fn caller_hangs_up(&self) {
        let mut world = self.world();
        let answered = world.channels[&self.id].answered_us.is_some();
        let cause = if answered {
            "NORMAL_CLEARING"
        } else {
            "ORIGINATOR_CANCEL"
        };
        world.destroy(&self.id, cause);
    }

    /// The caller presses a key.
    pub(crate) fn presses(&self, key: char) {
        self.world().press(&self.id, key);
    }

    /// The running media come to their end.
    pub(crate) fn played(&self) {
        let mut world = self.world();
        let name = world.calls[&self.id]
            .control
            .runs()
            .unwrap_or_default()
            .to_owned();
        world.media_end(&self.id, &name, None, None);
    }

    /// A recording ends by itself.
    pub(crate) fn tape_ends(&self, name: &str, end: End) {
        self.world().tape_ends(&self.id, name, end);
    }

    /// Another controller takes it.
    pub(crate) fn is_usurped(&self) {
        self.world().usurp(&self.id, &word(), "redirect");
    }

    /// It goes on under another id.
    pub(crate) fn is_replaced(&mut self) {
        let new = self.world().replace(&self.id);
        self.id = new;
    }

    /// It is transferred away: another controller goes on with it.
    pub(crate) fn is_transferred(&self) {
        self.world()
            .event("CHANNEL_TRANSFEREE", &self.id, Map::new());
    }

    /// Its switch is lost.
    pub(crate) fn is_disconnected(&self) {
        self.world().disconnect(&self.id);
    }
}
