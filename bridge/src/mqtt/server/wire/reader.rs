//! Reads the data types of section 1.5 out of a packet, and says what is wrong with them.

use super::{ReasonCode, Refusal};

/// What is left of a packet, or of the properties in it.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at a place that the bytes have.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Reader<'a> {
        Reader { bytes, at: at.min(bytes.len()) }
    }

    /// The next byte's place in the packet.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Nothing may be left.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(malformed("bytes are left behind the packet's last field"))
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let taken = self.rest().get(..length).ok_or_else(|| malformed("the packet ends within a field"))?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn two_bytes(&mut self) -> Result<u16, Refusal> {
        Ok(self.take(2)?.iter().fold(0, |value, byte| value << 8 | u16::from(*byte)))
    }

    pub(super) fn four_bytes(&mut self) -> Result<u32, Refusal> {
        Ok(self.take(4)?.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// [MQTT-1.5.5-1] It takes no more bytes than it needs.
    pub(super) fn variable_byte_integer(&mut self) -> Result<u32, Refusal> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * place);
            match byte {
                0 if place > 0 => return Err(malformed("a number takes more bytes than it needs")),
                0..0x80 => return Ok(value),
                _ => {}
            }
        }
        Err(malformed("a number takes more than four bytes"))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.two_bytes()?;
        self.take(length.into())
    }

    /// [MQTT-1.5.4-1] It is UTF-8 without surrogates, [MQTT-1.5.4-2] and holds no U+0000.
    pub(super) fn text(&mut self) -> Result<&'a str, Refusal> {
        let text = str::from_utf8(self.binary()?).map_err(|_| malformed("a text is not UTF-8"))?;
        if text.contains('\0') { Err(malformed("a text holds a zero character")) } else { Ok(text) }
    }

    /// [MQTT-2.2.1-3], [MQTT-2.2.1-4] It is not zero. No reason code is given for that; the field
    /// can be read, so the packet is not malformed.
    pub(super) fn packet_id(&mut self) -> Result<(), Refusal> {
        if self.two_bytes()? == 0 { Err(protocol_error("the packet identifier is zero")) } else { Ok(()) }
    }

    /// Reads properties' length and returns a reader that sees nothing but them.
    pub(super) fn properties(&mut self) -> Result<Reader<'a>, Refusal> {
        let length = self.variable_byte_integer()? as usize;
        let start = self.at;
        self.take(length)?;
        Ok(Reader { bytes: self.bytes.get(..start + length).unwrap_or_default(), at: start })
    }
}

pub(super) fn malformed(text: &'static str) -> Refusal {
    Refusal::new(ReasonCode::MALFORMED_PACKET, text)
}

pub(super) fn protocol_error(text: &'static str) -> Refusal {
    Refusal::new(ReasonCode::PROTOCOL_ERROR, text)
}
