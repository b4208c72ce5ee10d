//! Finds where one JSON value ends and the next begins.
//!
//! Clients of Ethereum nodes send one object after another, with or without separators. This counts
//! brackets outside strings and leaves everything else to the parser; each byte is examined once,
//! in any fragmentation. Input that does not begin like an object or a list cannot be
//! resynchronised and ends the connection.

/// Collects bytes and returns whole values.
#[derive(Debug, Default)]
pub(super) struct JsonFramer {
    buffer: Vec<u8>,
    /// The number of examined bytes.
    seen: usize,
    depth: usize,
    text: TextState,
}

/// Whether the next byte is inside a string.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum TextState {
    #[default]
    EffectExecutor,
    Inside,
    /// After a backslash: the next byte is literal.
    Escaped,
}

impl JsonFramer {
    /// The buffer for new bytes.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The next whole value, if there is one.
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, FramingError> {
        if self.depth == 0 {
            let blank = self
                .buffer
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.buffer.drain(..blank);
            self.seen = 0;
        }
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            if self.step(byte)? {
                let rest = self.buffer.split_off(self.seen);
                self.seen = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.seen > limit {
                return Err(FramingError::TooLong);
            }
        }
        Ok(None)
    }

    /// Examines one byte; returns whether it ends a value.
    const fn step(&mut self, byte: u8) -> Result<bool, FramingError> {
        match (self.text, byte) {
            (TextState::EffectExecutor, b'{' | b'[') => self.depth += 1,
            (TextState::EffectExecutor, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                return Ok(self.depth == 0);
            }
            (TextState::EffectExecutor, _) if self.depth == 0 => return Err(FramingError::NotJson),
            (TextState::Inside, b'\\') => self.text = TextState::Escaped,
            (TextState::Escaped, _) | (TextState::EffectExecutor, b'"') => {
                self.text = TextState::Inside
            }
            (TextState::Inside, b'"') => self.text = TextState::EffectExecutor,
            (TextState::Inside | TextState::EffectExecutor, _) => {}
        }
        Ok(false)
    }
}

/// Why no more values can be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum FramingError {
    /// A value begins with neither `{` nor `[`.
    #[error("the text is not a JSON object")]
    NotJson,
    /// A value does not end within the limit.
    #[error("the request is too long")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds chunks one after another and collects the values.
    fn values(chunks: &[&[u8]]) -> Result<Vec<String>, FramingError> {
        let mut framer = JsonFramer::default();
        let mut found = Vec::new();
        for chunk in chunks {
            framer.buffer().extend_from_slice(chunk);
            while let Some(value) = framer.next(64)? {
                found.push(String::from_utf8(value).unwrap());
            }
        }
        Ok(found)
    }

    #[test]
    fn values_need_no_separator() {
        let found = values(&[b"{\"a\":1}{\"b\":[2]}\n [{}]  "]).unwrap();
        assert_eq!(found, ["{\"a\":1}", "{\"b\":[2]}", "[{}]"]);
    }

    #[test]
    fn brackets_inside_strings_are_ignored() {
        let tricky = r#"{"a":"}\"]\\","b":"{"}"#;
        assert_eq!(values(&[tricky.as_bytes()]).unwrap(), [tricky]);
    }

    #[test]
    fn garbage_differs_from_incomplete_value() {
        assert_eq!(values(&[b"{\"a\":"]), Ok(Vec::new()));
        assert_eq!(values(&[b"GET / HTTP/1.1"]), Err(FramingError::NotJson));
        assert_eq!(values(&[b"{}\0"]), Err(FramingError::NotJson));
        assert_eq!(
            values(&[b"{} }"]),
            Ok(vec!["{}".to_owned(), "}".to_owned()])
        );
    }

    #[test]
    fn endless_value_is_refused() {
        assert_eq!(values(&[b"[", &[b' '; 64]]), Err(FramingError::TooLong));
        assert_eq!(values(&[b"[", &[b' '; 62], b"]"]).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn values_are_equal_for_every_chunking(
            texts in prop::collection::vec("[\\PC]{0,8}", 0..5),
            cut in 1_usize..7,
        ) {
            let sent: Vec<_> =
                texts.iter().map(|text| serde_json::json!({"t": [text]}).to_string()).collect();
            let stream = sent.join(" ");
            let chunks: Vec<_> = stream.as_bytes().chunks(cut).collect();
            prop_assert_eq!(values(&chunks).unwrap(), sent);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framer = JsonFramer::default();
            framer.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = framer.next(64) {}
        }
    }
}
