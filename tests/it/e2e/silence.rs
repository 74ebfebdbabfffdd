//! Devices without a keep-alive whose machine or cable is gone.

use super::address::prepare;
use gable_tests::lan::{self, Lan};
use gable_tests::mqtt::{Client, Hello, Packet};
use gable_tests::node::PATIENCE;
use gable_tests::wait;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// `mqtt.server.silence_s`.
const SILENCE: Duration = Duration::from_secs(4);

/// CONNECT of MQTT 3.1.1 without a keep-alive, whose will says `lost` to `gone/device`.
const CONNECT: &[u8] = b"\x10\x25\x00\x04MQTT\x04\x06\x00\x00\x00\x06device\x00\x0bgone/device\x00\x04lost";

#[test]
fn a_device_whose_machine_is_gone_is_noticed_and_a_quiet_one_is_left_alone() {
    if !Lan::is_permitted() {
        return;
    }
    let (lan, device) = (Lan::new(2), 1);
    let mut cluster = prepare(&lan, 1, "");
    let config = cluster.nodes[0].config();
    let settings = fs::read_to_string(&config).expect("it was written");
    let silence = format!("[mqtt.server]\nsilence_s = {}\n", SILENCE.as_secs());
    fs::write(&config, settings.replace("[mqtt.server]\n", &silence)).expect("the folder can be written");
    cluster.start_all();

    let node = SocketAddr::from(([10, 77, 0, 1], 1883));
    let mut watcher = lan::inside(&lan.namespace(0), || Client::connect(node, &Hello::new("watcher")));
    watcher.subscribe("gone/#", 1);
    let mut quiet = lan::inside(&lan.namespace(device), || Client::open(node, 4)).expect("the node listens");
    quiet.send_bytes(CONNECT).expect("the connection stands");
    assert_eq!(quiet.next(PATIENCE), Ok(Packet::Connack { session_present: false, reason: 0 }));
    let since = Instant::now();
    wait::until_true("a long silence", PATIENCE, || since.elapsed() > 2 * SILENCE);
    quiet.ping();

    lan.unplug(device);
    let cut = Instant::now();
    let will = watcher.wait_for(PATIENCE, |message| message.topic == "gone/device");
    eprintln!("a device without a keep-alive was missed after {:?}", cut.elapsed());
    assert_eq!(will.text(), "lost");
}
