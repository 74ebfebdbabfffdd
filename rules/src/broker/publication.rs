//! A message as a client published it: what the broker commits, keeps and delivers.

use gable_devices::QoS;
use serde::{Deserialize, Serialize};

/// A published message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub properties: PublishProperties,
}

/// What MQTT 5 lets a publisher say about its message (section 3.3.2.3), and every receiver gets.
/// Messages of older levels have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishProperties {
    /// Whether the payload is UTF-8 text, where the publisher says so.
    pub payload_format_indicator: Option<bool>,
    /// For how many seconds the message is of use.
    pub message_expiry_interval: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Vec<u8>>,
    /// In their order; names may repeat.
    pub user_properties: Vec<(String, String)>,
}

impl Publication {
    /// How much it takes up, in bytes, where memory is limited.
    pub fn bytes(&self) -> usize {
        /// For the row itself and its place in the maps.
        const FIXED: usize = 128;
        FIXED + self.topic.len() + self.payload.len() + self.properties.bytes()
    }
}

impl PublishProperties {
    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let pairs = self.user_properties.iter().map(|(name, value)| name.len() + value.len() + 48);
        text(&self.content_type)
            + text(&self.response_topic)
            + self.correlation_data.as_ref().map_or(0, Vec::len)
            + pairs.sum::<usize>()
    }
}
