//! `gable simulate`: sensors and devices that are not there, as real MQTT clients.

use super::failure::{Exit, Failure};
use crate::simulate::Simulation;
use gable_devices::sim::{self, Device};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable simulate --broker 127.0.0.1:1883
  gable simulate --broker 10.0.0.1:1883 --broker 10.0.0.2:1883 --broker 10.0.0.3:1883
  gable simulate --devices motion:hall_motion,bulb:hall_bulb --seed 7
  gable simulate --declarations > home.yaml

Each device begins at another broker of the list and goes to the next when one dies.
Topics and payloads are those of Zigbee2MQTT, Tasmota and ESPHome.";

/// Simulate sensors and devices as MQTT clients.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A broker's address; repeat it for more
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883", value_parser = broker)]
    broker: Vec<String>,
    /// What chance is drawn from: equal seeds give equal devices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which devices, as KIND:NAME; kinds: motion, door, temperature, presence, bulb, outlet, closer, lock
    #[arg(long, value_name = "KIND:NAME,...", value_delimiter = ',', value_parser = kind_and_name)]
    devices: Vec<(Kind, String)>,
    /// Only print the devices' entities as a home's file
    #[arg(long)]
    declarations: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Motion,
    Door,
    Temperature,
    Presence,
    Bulb,
    Outlet,
    Closer,
    Lock,
}

fn broker(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, for example 127.0.0.1:1883".to_owned()),
    }
}

fn kind_and_name(text: &str) -> Result<(Kind, String), String> {
    let (kind, name) = text.split_once(':').ok_or("expected KIND:NAME, for example motion:hall_motion")?;
    let kind = <Kind as clap::ValueEnum>::from_str(kind, true).map_err(|_| {
        format!("`{kind}` is none of motion, door, temperature, presence, bulb, outlet, closer, lock")
    })?;
    // It becomes the object id of an entity.
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name {
        Ok((kind, name.to_owned()))
    } else {
        Err(format!("`{name}` is not a name of a-z, 0-9 and _"))
    }
}

fn device(kind: Kind, name: &str, seed: u64) -> Device {
    match kind {
        Kind::Motion => Device::motion(name, seed),
        Kind::Door => Device::door(name, seed),
        Kind::Temperature => Device::temperature(name, seed),
        Kind::Presence => Device::presence(name, seed),
        Kind::Bulb => Device::bulb(name, seed),
        Kind::Outlet => Device::outlet(name, seed),
        Kind::Closer => Device::closer(name, seed),
        Kind::Lock => Device::lock(name, seed),
    }
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let devices: Vec<Device> = match args.devices.as_slice() {
        [] => sim::home(args.seed),
        chosen => chosen
            .iter()
            .zip(0..)
            .map(|((kind, name), number)| device(*kind, name, args.seed.wrapping_add(number)))
            .collect(),
    };
    if args.declarations {
        super::tell(&sim::declarations(&devices));
        return Ok(ExitCode::SUCCESS);
    }
    super::tell(&format!("{} devices at {}; Ctrl-C ends them\n", devices.len(), args.broker.join(", ")));
    for device in &devices {
        super::tell(&format!("  {}\n", device.client_id()));
    }
    let simulation = Simulation::start(devices, &args.broker);
    let stopped = super::stop_signal().await;
    let record = simulation.record();
    simulation.stop().await;
    let said: u64 = record.said.values().sum();
    let acknowledged: u64 = record.acknowledged.values().sum();
    let commands: u64 = record.commands.values().sum();
    super::tell(&format!("said {said}, acknowledged {acknowledged}, commands received {commands}\n"));
    stopped
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Failure::new(Exit::Start, error, "signals must be available to the process"))
}
