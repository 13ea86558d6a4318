//! Bytes in JSON, for records that are exported: as hex, and those of 16, which are ids, as UUIDs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::text;

/// What holds bytes and is written as said above.
pub trait Bytes: Sized {
    fn to_json(&self) -> Value;
    fn from_json(value: Value) -> Option<Self>;
}

impl<const N: usize> Bytes for [u8; N] {
    fn to_json(&self) -> Value {
        Value::String(match Uuid::from_slice(self) {
            Ok(id) => id.to_string(),
            Err(_) => text::hex(self),
        })
    }

    fn from_json(value: Value) -> Option<Self> {
        let text = value.as_str()?;
        if N == 16 {
            return Uuid::try_parse(text).ok()?.as_bytes().as_slice().try_into().ok();
        }
        text::unhex(text)?.try_into().ok()
    }
}

impl Bytes for Vec<u8> {
    fn to_json(&self) -> Value {
        Value::String(text::hex(self))
    }

    fn from_json(value: Value) -> Option<Self> {
        text::unhex(value.as_str()?)
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Bytes::to_json)
    }

    fn from_json(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_json(value).map(Some) }
    }
}

impl<T: Bytes> Bytes for Vec<T> {
    fn to_json(&self) -> Value {
        Value::Array(self.iter().map(Bytes::to_json).collect())
    }

    fn from_json(value: Value) -> Option<Self> {
        let Value::Array(all) = value else { return None };
        all.into_iter().map(T::from_json).collect()
    }
}

/// Bytes, and something else beside them.
impl<T: Bytes, U: Serialize + for<'de> Deserialize<'de>> Bytes for (T, U) {
    fn to_json(&self) -> Value {
        Value::Array(vec![self.0.to_json(), serde_json::to_value(&self.1).unwrap_or_default()])
    }

    fn from_json(value: Value) -> Option<Self> {
        let Value::Array(pair) = value else { return None };
        let [bytes, other] = <[Value; 2]>::try_from(pair).ok()?;
        Some((T::from_json(bytes)?, serde_json::from_value(other).ok()?))
    }
}

/// For `#[serde(with)]`.
pub mod bytes {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer, Value};
    use serde::de::Error as _;

    pub fn serialize<T: Bytes, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.to_json().serialize(serializer)
    }

    pub fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::from_json(Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("these are no such bytes"))
    }
}

/// For `#[serde(with)]`: a text that is JSON itself.
pub mod embedded {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Value};
    use serde::ser::Error as _;

    pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<Value>(text).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Ok(Value::deserialize(deserializer)?.to_string())
    }
}

/// For `#[serde(with)]`: what was sealed, and has been opened, where that is a text.
pub mod opened {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use serde::ser::Error as _;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        std::str::from_utf8(bytes).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(deserializer)?.into_bytes())
    }
}
