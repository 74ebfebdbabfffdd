//! The data types of MQTT's packets.

/// A packet: the first byte, the length as a variable byte integer, and the rest.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    push_length(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// Adds a variable byte integer.
pub(super) fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let digit = u8::try_from(length % 128).expect("a remainder of 128 fits");
        length /= 128;
        bytes.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            return;
        }
    }
}

/// Adds a text or binary data with its length.
pub(super) fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("the tests' texts are short");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text);
}

/// What is left to read of a packet.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("a packet ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        let length = self.number()?;
        let bytes = self.take(length.into())?;
        String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
    }

    pub(super) fn length(&mut self) -> Result<usize, String> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a length of more than four bytes".to_owned())
    }

    pub(super) fn skip_properties(&mut self) -> Result<(), String> {
        let length = self.length()?;
        self.take(length).map(drop)
    }
}
