//! The workload where nodes are the broker: MQTT clients that report, listen, roam, obey and die.
//!
//! All of them are tasks of one host of the simulated network, with sockets of their own.

use crate::client::{Client, Draft, Profile, REPORTER};
use crate::devices::{HOME, configure, reconfigure};
use crate::dice::Dice;
use crate::inspection;
use crate::trace::Ending;
use crate::world::World;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::sleep;

/// The client that hears who is there and who is not.
pub(crate) const WATCHER: u32 = 10;
/// The device whose commands must not be lost.
pub(crate) const BULB: u32 = 6;
/// The members of a group all of whom have sessions that are kept.
pub(crate) const LASTING_MEMBERS: Range<u32> = 20..23;
/// The members of another group; the sessions of all but the first are clean.
pub(crate) const MIXED_MEMBERS: Range<u32> = 23..26;

const KEPT: Profile = Profile { level: 5, is_kept: true, ..REPORTER };

/// Runs all clients; those that report end when the workload closes and all they began is settled.
pub(crate) async fn run(world: Rc<World>) -> turmoil::Result {
    configure(&world, HOME).await;
    let statuses = Profile { subscriptions: &[("sim/status/+", 2)], breaks_off: 1, ..KEPT };
    let mut watcher = Client::new(&world, WATCHER, statuses);
    // It has to hear of everybody.
    watcher.connect().await;
    spawn_local(listen(watcher, 3));
    let everything = Profile { subscriptions: &[("sim/#", 1)], breaks_off: 3, ..KEPT };
    spawn_local(listen(Client::new(&world, 11, everything), 25));
    let exactly = Profile { level: 4, subscriptions: &[("sim/+", 2)], breaks_off: 3, ..KEPT };
    spawn_local(listen(Client::new(&world, 12, exactly), 25));
    let fleeting = Profile { subscriptions: &[("sim/#", 1)], ..REPORTER };
    spawn_local(listen(Client::new(&world, 13, fleeting), 25));
    share(&world);

    let with_will = Profile { will: Some(0), ..REPORTER };
    let in_session = Profile { will: Some(1), ..KEPT };
    let fixed = |id, profile, topic, states, qos, retain, pause, at_once| {
        let draft = Draft { topic, state: String::new(), qos, retain };
        spawn_local(report(Client::new(&world, id, profile), draft, states, pause, at_once));
    };
    let topic = str::to_owned;
    fixed(1, with_will, topic("sim/motion"), &["ON", "OFF"], 1, false, 80..1100, 1..2);
    fixed(2, in_session, topic("sim/door"), &["ON", "OFF"], 2, false, 150..1800, 1..2);
    fixed(3, KEPT, topic("sim/button"), &["press"], 1, false, 200..1500, 1..3);
    fixed(4, with_will, topic("sim/power"), &["10", "20", "30", "40"], 0, false, 30..150, 1..4);
    fixed(5, in_session, topic("sim/temperature"), &["18.5", "19", "19.5"], 1, true, 60..300, 1..8);
    spawn_local(note(Client::new(&world, 8, with_will)));

    let bulb = Profile { will: Some(0), subscriptions: &[("sim/bulb/set", 2)], breaks_off: 3, ..KEPT };
    spawn_local(obey(Client::new(&world, BULB, bulb), "sim/bulb"));
    let fan = Profile { level: 5, subscriptions: &[("sim/fan/set", 1)], ..with_will };
    spawn_local(obey(Client::new(&world, 7, fan), "sim/fan"));

    spawn_local(burst(world.clone()));
    spawn_local(visit(world.clone()));
    spawn_local(inspection::run(world.clone()));
    reconfigure(&world).await;
    std::future::pending().await
}

/// Two groups that share subscriptions.
fn share(world: &Rc<World>) {
    let member =
        |level, is_kept, subscriptions| Profile { level, is_kept, subscriptions, breaks_off: 3, ..REPORTER };
    let lasting = [
        member(5, true, &[("$share/lasting/sim/+", 2)]),
        member(4, true, &[("$share/lasting/sim/+", 2)]),
        member(5, true, &[("$share/lasting/sim/+", 1)]),
    ];
    let mixed = [
        member(5, true, &[("$share/mixed/sim/+", 1)]),
        member(5, false, &[("$share/mixed/sim/+", 2)]),
        member(4, false, &[("$share/mixed/sim/+", 1)]),
    ];
    let members = LASTING_MEMBERS.zip(lasting).chain(MIXED_MEMBERS.zip(mixed));
    members.for_each(|(id, member)| drop(spawn_local(listen(Client::new(world, id, member), 25))));
}

/// Notes that somebody has something to do until this is dropped.
struct Busy(Rc<World>);

impl Busy {
    fn new(world: &Rc<World>) -> Busy {
        world.busy_devices.set(world.busy_devices.get() + 1);
        Busy(world.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy_devices.set(self.0.busy_devices.get() - 1);
    }
}

/// Listens, and roams: after a while it goes to another node, with or without a word.
async fn listen(mut client: Client, roams: u64) {
    loop {
        let span = client.dice.millis(200..2000);
        client.stay(span).await;
        if client.world.closing.get() || !client.dice.chance(roams) {
            continue;
        }
        match client.dice.within(0..4) {
            0 => client.leave().await,
            1 => client.end(Ending::Silent),
            _ => client.end(Ending::Broken),
        }
        (0..client.dice.within(0..3)).for_each(|_| client.move_on());
        sleep(client.dice.millis(0..900)).await;
    }
}

/// Reports one of `states` after another, some of them at once.
async fn report(
    mut client: Client,
    draft: Draft,
    states: &'static [&'static str],
    pause: Range<u64>,
    at_once: Range<u64>,
) {
    let busy = Busy::new(&client.world);
    let mut states = states.iter().cycle();
    while !client.world.closing.get() {
        let span = client.dice.millis(pause.clone());
        client.rest(span).await;
        let count = client.dice.within(at_once.clone()) as usize;
        let drafts =
            states.by_ref().take(count).map(|state| Draft { state: (*state).into(), ..draft.clone() });
        client.hand_in(drafts.collect()).await;
    }
    drop(busy);
    retire(client).await;
}

/// Keeps some retained notes up to date, and wipes one out at times.
async fn note(mut client: Client) {
    let busy = Busy::new(&client.world);
    for round in 0_u64.. {
        let span = client.dice.millis(100..700);
        client.rest(span).await;
        if client.world.closing.get() {
            break;
        }
        let topic = format!("sim/note/{}", client.dice.within(0..3));
        let is_wiped = client.dice.chance(20);
        let (state, qos) = if is_wiped { (String::new(), 0) } else { (round.to_string(), 2) };
        client.hand_in(vec![Draft { topic, state, qos, retain: true }]).await;
    }
    drop(busy);
    retire(client).await;
}

/// Ends as devices do: some stay, some say goodbye, some do not.
async fn retire(mut client: Client) {
    match client.dice.within(0..4) {
        0 => client.leave().await,
        1 => client.end(Ending::Broken),
        2 => client.end(Ending::Silent),
        _ => loop {
            client.stay(Duration::from_secs(1)).await;
        },
    }
}

/// Takes commands and reports what they made of it, as a rule.
async fn obey(mut client: Client, topic: &'static str) {
    loop {
        client.stay(Duration::from_millis(20)).await;
        while let Some(state) = client.orders.pop_front() {
            let _busy = Busy::new(&client.world);
            let span = client.dice.millis(2..40);
            client.rest(span).await;
            if !client.dice.chance(5) {
                client.hand_in(vec![Draft { topic: topic.to_owned(), state, qos: 1, retain: false }]).await;
            }
        }
        if !client.world.closing.get() && client.dice.chance(1) {
            client.end(Ending::Broken);
            client.move_on();
            sleep(client.dice.millis(0..900)).await;
        }
    }
}

/// Many clients come at once, as after a power cut.
async fn burst(world: Rc<World>) {
    let mut dice = Dice::new(world.seed, "bursts");
    for round in 0.. {
        sleep(dice.millis(500..4000)).await;
        if world.closing.get() {
            return;
        }
        for id in 0..dice.within(2..16) as u32 {
            let mut client = Client::new(&world, 1000 + 100 * round + id, REPORTER);
            spawn_local(async move {
                let _busy = Busy::new(&client.world);
                let (topic, state) = ("sim/burst".to_owned(), "here".to_owned());
                client.hand_in(vec![Draft { topic, state, qos: 1, retain: false }]).await;
                client.leave().await;
            });
        }
    }
}

/// Clients with wills come and go, some for good, some to come back.
async fn visit(world: Rc<World>) {
    let mut dice = Dice::new(world.seed, "visits");
    for round in 0.. {
        sleep(dice.millis(300..2000)).await;
        if world.closing.get() {
            return;
        }
        let is_kept = dice.chance(50);
        let will = Some(if is_kept { dice.pick(&[0, 0, 1]) } else { 0 });
        let level = if is_kept { 5 } else { dice.pick(&[4, 5]) };
        let client = Client::new(&world, 500 + round, Profile { level, is_kept, will, ..REPORTER });
        spawn_local(be_there(client));
    }
}

async fn be_there(mut client: Client) {
    let _busy = Busy::new(&client.world);
    for _ in 0..client.dice.within(1..4) {
        let draft = Draft { topic: "sim/visit".to_owned(), state: "here".to_owned(), qos: 1, retain: false };
        client.hand_in(vec![draft]).await;
        let span = client.dice.millis(50..1200);
        client.rest(span).await;
        match client.dice.within(0..4) {
            0 => client.leave().await,
            1 => client.end(Ending::Silent),
            _ => client.end(Ending::Broken),
        }
        if client.dice.chance(50) {
            client.move_on();
        }
        sleep(client.dice.millis(0..2500)).await;
    }
}
