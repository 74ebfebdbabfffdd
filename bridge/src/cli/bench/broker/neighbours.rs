//! What well-behaved clients notice of others that behave badly at the same node.

use super::peer::{Incoming, Peer};
use super::{Route, latency};
use crate::cli::bench::pauses::Pauses;
use crate::cli::bench::samples::Spread;
use crate::cli::bench::table::{Cell, Table, Wanted};
use crate::cli::bench::{Bench, process, progress};
use crate::cli::failure::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// What the measured pair says, and each client of a storm that keeps measure.
const PER_SECOND: u32 = 50;
const STORMING: usize = 10;
/// How many messages a client without measure has in flight.
const IN_FLIGHT: usize = 50;
const HALF_OPEN: usize = 1_000;
const MALFORMED_PER_SECOND: u32 = 200;
const DEAF_PER_SECOND: u32 = 100;
const DEAF_PAYLOAD: [u8; 16 << 10] = [b'x'; 16 << 10];
/// When the others are there.
const REST: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PAYLOAD: &[u8] = br#"{"battery":97,"illuminance":12,"linkquality":120,"occupancy":true}"#;

const COLUMNS: [&str; 8] =
    ["broker", "beside", "delivered p50 ms", "p99 ms", "pause ms", "memory, MB", "p99 / in calm", "goal"];

/// What goes on beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Storm,
    HalfOpen,
    Malformed,
    Deaf,
    Measureless,
}

impl Beside {
    const ALL: [Beside; 6] = [
        Beside::Nothing,
        Beside::Storm,
        Beside::HalfOpen,
        Beside::Malformed,
        Beside::Deaf,
        Beside::Measureless,
    ];

    fn name(self) -> String {
        match self {
            Beside::Nothing => "nothing, in calm".to_owned(),
            Beside::Storm => format!("{STORMING} clients that say as much each"),
            Beside::HalfOpen => format!("{HALF_OPEN} connections that say half a word"),
            Beside::Malformed => format!("{MALFORMED_PER_SECOND} malformed packets a second"),
            Beside::Deaf => "a subscriber that never reads 1.6 MB/s".to_owned(),
            Beside::Measureless => format!("{STORMING} clients, {IN_FLIGHT} in flight each"),
        }
    }

    /// Begins; it goes on until the tasks are dropped.
    async fn begin(self, broker: SocketAddr) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let mut tasks = JoinSet::new();
        match self {
            Beside::Nothing => {}
            Beside::Storm => {
                for number in 0..STORMING {
                    let peer = Peer::connect(broker, &format!("bench-storms-{number}")).await?;
                    tasks.spawn(speak(peer, format!("bench/storm/{number}"), PER_SECOND, PAYLOAD));
                }
            }
            Beside::HalfOpen => {
                for number in 0..HALF_OPEN {
                    tasks.spawn(say_half_a_word(broker, number));
                }
            }
            Beside::Malformed => drop(tasks.spawn(send_malformed(broker))),
            Beside::Deaf => {
                let mut deaf = Peer::connect(broker, "bench-deaf").await?;
                deaf.subscribe("bench/deaf", 0).await?;
                let speaker = Peer::connect(broker, "bench-shouts").await?;
                tasks.spawn(async move {
                    let spoken = speak(speaker, "bench/deaf".to_owned(), DEAF_PER_SECOND, &DEAF_PAYLOAD);
                    let ended = spoken.await;
                    drop(deaf);
                    ended
                });
            }
            Beside::Measureless => {
                for number in 0..STORMING {
                    let peer = Peer::connect(broker, &format!("bench-storms-{number}")).await?;
                    tasks.spawn(flood(peer, format!("bench/storm/{number}")));
                }
            }
        }
        Ok(tasks)
    }
}

pub(super) async fn measure(bench: &Bench, routes: &[Route]) -> Result<Table, Failure> {
    let count = (f64::from(PER_SECOND) * bench.span.as_secs_f64()).max(400.0) as usize;
    let mut rows = Vec::new();
    let pauses = Pauses::watch();
    for route in routes {
        let mut calm = None;
        for beside in Beside::ALL {
            progress(format!("broker: {}, beside {}", route.name, beside.name()));
            let others = beside.begin(route.publish_at).await?;
            sleep(REST).await;
            pauses.longest_ms();
            let mut repeats = Vec::new();
            for _ in 0..bench.repeats {
                repeats.push(latency::run(route, 1, PER_SECOND, count).await?.delivered);
            }
            let pause = pauses.longest_ms();
            let memory = process::resident_mb(route.process_id);
            drop(others);
            let p99 = Spread::of_percentile(&repeats, 99);
            calm = calm.or(p99);
            let ratio = p99.zip(calm).map(|(p99, calm)| p99.median / calm.median);
            let has_goal = route.is_gable && !matches!(beside, Beside::Nothing | Beside::Measureless);
            rows.push(vec![
                Cell::text(route.name),
                Cell::text(beside.name()),
                Cell::spread(Spread::of_percentile(&repeats, 50)),
                Cell::spread(p99),
                Cell::number(Some(pause)),
                Cell::number(memory),
                Cell::number(ratio),
                if has_goal { Cell::goal(Wanted::AtMost(2.0), ratio) } else { Cell::Empty },
            ]);
        }
    }
    let title = format!("Messages of others at QoS 1, {PER_SECOND} a second, beside clients that misbehave");
    let notes = vec![
        "All on this machine: what the others cost to send is in it.".to_owned(),
        "Pause: the longest time that the machine let a thread wait which only sleeps; no broker can help it."
            .to_owned(),
    ];
    Ok(Table { name: "broker_neighbours", title, columns: &COLUMNS, rows, notes })
}

/// Publishes at a steady rate, at QoS 1, and takes no more note of the answers than it has to.
async fn speak(peer: Peer, topic: String, per_second: u32, payload: &[u8]) -> anyhow::Result<()> {
    let Peer { mut reader, mut writer } = peer;
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut packet_id = 0_u16;
    loop {
        tokio::select! {
            answer = reader.next() => drop(answer?),
            _ = ticks.tick() => {
                packet_id = packet_id.checked_add(1).unwrap_or(1);
                writer.publish(&topic, Some(packet_id), payload);
                writer.flush().await?;
            }
        }
    }
}

/// Publishes as fast as it is let.
async fn flood(peer: Peer, topic: String) -> anyhow::Result<()> {
    let Peer { mut reader, mut writer } = peer;
    let (mut open, mut packet_id) = (0, 0_u16);
    loop {
        while open < IN_FLIGHT {
            packet_id = packet_id.checked_add(1).unwrap_or(1);
            writer.publish(&topic, Some(packet_id), PAYLOAD);
            open += 1;
        }
        writer.flush().await?;
        let mut incoming = Some(timeout(ANSWER_LIMIT, reader.next()).await??);
        while let Some(packet) = incoming {
            if let Incoming::Puback { .. } = packet {
                open -= 1;
            }
            incoming = reader.take()?;
        }
    }
}

/// Connects, begins a CONNECT, and again whenever the broker has had enough.
async fn say_half_a_word(broker: SocketAddr, number: usize) -> anyhow::Result<()> {
    loop {
        let mut stream = TcpStream::connect(broker).await?;
        let half = &b"\x10\x20\x00\x04MQTT"[..number % 8];
        if stream.write_all(half).await.is_ok() {
            // Until the broker closes it.
            let _ = stream.read(&mut [0]).await;
        }
        sleep(REST).await;
    }
}

/// Packets of all types with bodies that mean nothing, each in a connection of its own.
async fn send_malformed(broker: SocketAddr) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / MALFORMED_PER_SECOND);
    for number in 0_u32.. {
        ticks.tick().await;
        let mut stream = TcpStream::connect(broker).await?;
        let noise = number.wrapping_mul(0x9E37_79B9).to_le_bytes();
        let body = [&b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04"[..], &noise, &noise, &noise].concat();
        // The broker may have closed already.
        let _ = stream.write_all(&body).await;
    }
    Ok(())
}
