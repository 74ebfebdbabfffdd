//! Renders a configuration for a Mosquitto beside a node.
//!
//! Mosquitto's own defaults keep the queue of an absent client in memory, save it every half hour
//! and drop what exceeds 1000 messages: after a power cut, or while Gable is being updated, messages
//! that were acknowledged to a device would be gone.

use crate::Settings;

impl Settings {
    /// Renders a `mosquitto.conf` that suits these settings. Users and their rights are left to the
    /// home's owner.
    pub fn mosquitto_conf(&self) -> String {
        let Settings { mqtt, .. } = self;
        let access = match mqtt.username {
            Some(_) => "allow_anonymous false\npassword_file /etc/mosquitto/passwd\n",
            None => "allow_anonymous true\n",
        };
        format!(
            "# Mosquitto beside Gable node {id}, client id {client_id}.\n\
             listener {port} {host}\n\
             {access}\n\
             # What waits for Gable must survive a restart. Each change is written at once: the\n\
             # default is every half hour.\n\
             persistence true\n\
             persistence_location /var/lib/mosquitto/\n\
             autosave_on_changes true\n\
             autosave_interval 1\n\
             persistent_client_expiration 14d\n\
             \n\
             # The defaults (1000 messages) drop acknowledged messages in a burst.\n\
             max_queued_messages 100000\n\
             max_inflight_messages {inflight}\n\
             max_packet_size {max_packet_bytes}\n",
            id = self.node.id,
            client_id = self.client_id(),
            host = mqtt.host,
            port = mqtt.port,
            inflight = mqtt.inflight.max(20),
            max_packet_bytes = mqtt.max_packet_bytes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_an_option_with_a_value() {
        let conf = Settings::default().mosquitto_conf();
        assert!(conf.contains("client id gable-home-1"), "{conf}");
        assert!(conf.contains("\nautosave_on_changes true\n"), "{conf}");
        for line in conf.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(line.split(' ').count() >= 2, "{line}");
        }
    }
}
