//! Application properties, kept in one encoded block until somebody asks.
//!
//! Layout of the block, one entry after another: tag (1 byte), key length (u16, little endian), key (UTF-8), value. The order of the entries is the sender's; a key may occur once.
//! Values: null and booleans have none beyond the tag; numbers are little endian; strings and bytes are a u32 length and the bytes.
//! Invariant: a [`Properties`] holds a well-formed block; what comes from a disk or a wire is checked in [`Properties::decode`].

use bytes::{BufMut, Bytes, BytesMut};

/// The largest key, in bytes.
pub const PROPERTY_KEY_BYTES_MAX: usize = u16::MAX as usize;

/// The value of one property, with the types that JMS knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Property<'a> {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// 8 bits.
    Byte(i8),
    /// 16 bits.
    Short(i16),
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// 32-bit floating point.
    Float(f32),
    /// 64-bit floating point.
    Double(f64),
    /// Text; everything that STOMP carries.
    String(&'a str),
    /// Raw bytes (an ActiveMQ extension to JMS).
    Bytes(&'a [u8]),
}

/// An immutable block of properties; cloning it copies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Bytes);

/// The block is not one: cut short, an unknown tag, or text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedProperties;

impl Properties {
    /// Checks a block that was read.
    pub fn decode(block: Bytes) -> Result<Properties, MalformedProperties> {
        let mut rest: &[u8] = &block;
        while !rest.is_empty() {
            take_entry(&mut rest).ok_or(MalformedProperties)?;
        }
        Ok(Properties(block))
    }

    /// The block, for writing it.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The properties in the sender's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Property<'_>)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || if rest.is_empty() { None } else { take_entry(&mut rest) })
    }

    /// The property of this name.
    pub fn get(&self, key: &str) -> Option<Property<'_>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The same properties with `key` set to `value`, at the end if it is new.
    pub fn with(&self, key: &str, value: Property<'_>) -> Properties {
        let mut builder = PropertiesBuilder::default();
        let mut replaced = false;
        for (name, old) in self.iter() {
            replaced |= name == key;
            builder.push(name, if name == key { value } else { old });
        }
        if !replaced {
            builder.push(key, value);
        }
        builder.finish()
    }
}

/// Makes a block, one property after another.
#[derive(Debug, Default)]
pub struct PropertiesBuilder(BytesMut);

impl PropertiesBuilder {
    /// Adds a property. The caller sees to it that a key is added once and is at most [`PROPERTY_KEY_BYTES_MAX`] long (a longer one is cut there).
    pub fn push(&mut self, key: &str, value: Property<'_>) {
        let key = &key[..key.floor_char_boundary(PROPERTY_KEY_BYTES_MAX)];
        let block = &mut self.0;
        block.put_u8(tag_of(value));
        block.put_u16_le(key.len() as u16);
        block.put_slice(key.as_bytes());
        match value {
            Property::Null | Property::Boolean(_) => {}
            Property::Byte(value) => block.put_i8(value),
            Property::Short(value) => block.put_i16_le(value),
            Property::Int(value) => block.put_i32_le(value),
            Property::Long(value) => block.put_i64_le(value),
            Property::Float(value) => block.put_f32_le(value),
            Property::Double(value) => block.put_f64_le(value),
            Property::String(value) => put_sized(block, value.as_bytes()),
            Property::Bytes(value) => put_sized(block, value),
        }
    }

    /// The finished block.
    pub fn finish(self) -> Properties {
        Properties(self.0.freeze())
    }
}

fn put_sized(block: &mut BytesMut, bytes: &[u8]) {
    block.put_u32_le(u32::try_from(bytes.len()).expect("a property fits into a frame, which is shorter than 4 GiB"));
    block.put_slice(bytes);
}

fn tag_of(value: Property<'_>) -> u8 {
    match value {
        Property::Null => 0,
        Property::Boolean(false) => 1,
        Property::Boolean(true) => 2,
        Property::Byte(_) => 3,
        Property::Short(_) => 4,
        Property::Int(_) => 5,
        Property::Long(_) => 6,
        Property::Float(_) => 7,
        Property::Double(_) => 8,
        Property::String(_) => 9,
        Property::Bytes(_) => 10,
    }
}

fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, Property<'a>)> {
    let [tag] = take_array(rest)?;
    let key_length = u16::from_le_bytes(take_array(rest)?);
    let key = std::str::from_utf8(take(rest, key_length.into())?).ok()?;
    let value = match tag {
        0 => Property::Null,
        1 => Property::Boolean(false),
        2 => Property::Boolean(true),
        3 => Property::Byte(i8::from_le_bytes(take_array(rest)?)),
        4 => Property::Short(i16::from_le_bytes(take_array(rest)?)),
        5 => Property::Int(i32::from_le_bytes(take_array(rest)?)),
        6 => Property::Long(i64::from_le_bytes(take_array(rest)?)),
        7 => Property::Float(f32::from_le_bytes(take_array(rest)?)),
        8 => Property::Double(f64::from_le_bytes(take_array(rest)?)),
        9 => Property::String(std::str::from_utf8(take_sized(rest)?).ok()?),
        10 => Property::Bytes(take_sized(rest)?),
        _ => return None,
    };
    Some((key, value))
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take_array(rest)?);
    take(rest, usize::try_from(length).ok()?)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_type() -> Vec<(&'static str, Property<'static>)> {
        vec![
            ("null", Property::Null),
            ("no", Property::Boolean(false)),
            ("yes", Property::Boolean(true)),
            ("byte", Property::Byte(-1)),
            ("short", Property::Short(-2)),
            ("int", Property::Int(-3)),
            ("long", Property::Long(-4)),
            ("float", Property::Float(1.5)),
            ("double", Property::Double(-2.5)),
            ("text", Property::String("grüße")),
            ("bytes", Property::Bytes(&[0, 255])),
        ]
    }

    fn block() -> Properties {
        let mut builder = PropertiesBuilder::default();
        for (key, value) in every_type() {
            builder.push(key, value);
        }
        builder.finish()
    }

    #[test]
    fn every_type_comes_back_as_it_went_in() {
        let read = Properties::decode(block().as_bytes().clone()).expect("what was built is well-formed");
        assert_eq!(read.iter().collect::<Vec<_>>(), every_type());
        assert_eq!(read.get("text"), Some(Property::String("grüße")));
        assert_eq!(read.get("absent"), None);
    }

    #[test]
    fn setting_a_property_replaces_it_in_place_or_appends_it() {
        let changed = block().with("int", Property::Int(9)).with("new", Property::Null);
        assert_eq!(changed.get("int"), Some(Property::Int(9)));
        assert_eq!(changed.iter().count(), every_type().len() + 1);
    }

    #[test]
    fn a_block_cut_anywhere_inside_an_entry_is_refused() {
        let whole = block().as_bytes().clone();
        let mut boundaries = vec![0];
        let mut rest: &[u8] = &whole;
        while take_entry(&mut rest).is_some() {
            boundaries.push(whole.len() - rest.len());
        }
        for cut in 0..=whole.len() {
            assert_eq!(
                Properties::decode(whole.slice(..cut)).is_ok(),
                boundaries.contains(&cut),
                "cut at {cut}"
            );
        }
    }
}
