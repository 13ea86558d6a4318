//! Random values for secrets and ids, from the operating system.

use uuid::Uuid;

use crate::domain::secret::Secret;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};

/// So many random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// Random base-62 text of 256 bits, about 43 characters.
pub fn token() -> Result<Secret> {
    Ok(Secret::new(text::base62(&bytes::<32>()?)))
}

/// A UUIDv7 for this moment.
pub fn uuid(now: Timestamp) -> Result<Uuid> {
    let millis = now.as_millis().max(0).cast_unsigned();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes::<10>()?).into_uuid())
}

/// Six random digits, each code equally likely.
pub fn six_digits() -> Result<Secret> {
    const CODES: u32 = 1_000_000;
    loop {
        let number = u32::from_be_bytes(bytes()?);
        if number < u32::MAX - u32::MAX % CODES {
            return Ok(Secret::new(format!("{:06}", number % CODES)));
        }
    }
}
